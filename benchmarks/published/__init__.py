"""`make benchmark`: the figures in the README, as rows with their samples and targets."""
