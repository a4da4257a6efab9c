"""GPUs: finding them, their memory, and frames that are there already."""
