"""Compares what was made with the model it was made from: tensors, decoded answers, accuracy."""
