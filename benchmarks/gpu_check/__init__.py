"""`make gpu-check`: everything that needs a GPU, in one go, with what is installed there."""
