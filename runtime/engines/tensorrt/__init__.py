"""TensorRT and TensorRT-RTX as compilers of parts: one way for the versions from 10.3 on."""
