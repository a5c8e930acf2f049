"""Lower bounds: the graphs alone, on the measured engine or on plain ONNX Runtime."""
