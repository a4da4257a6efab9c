"""TensorRT engines as files: what they were built for, and where they are kept."""
