"""Reading and rewriting ONNX graphs: one transformation a file, none knows what the export wants of it."""
