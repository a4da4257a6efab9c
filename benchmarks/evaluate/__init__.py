"""`fcnrt evaluate`: how well a network labels pictures, the same way for checkpoints and exported models."""
