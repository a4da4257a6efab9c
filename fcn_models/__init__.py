"""The networks, their checkpoints and the bundled demo weights."""
