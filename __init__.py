"""fcnrt: deploy FCN semantic segmentation with ONNX Runtime and TensorRT."""
