"""What a deployed machine has: numpy and, on demand, one backend. Never torch, never onnx."""
