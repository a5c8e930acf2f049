"""Parts on a CUDA GPU: a device layer over pycuda, and slots whose work is only ever put on streams."""
