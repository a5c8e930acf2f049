"""The least that any runtime could need: bare sessions of ONNX Runtime beside which results are reported."""
