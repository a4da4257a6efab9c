"""`fcnrt verify`: whether a deployed model is still the PyTorch model, and if not, what broke it."""
