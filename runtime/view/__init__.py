"""The live page: inputs, outputs and latency of a run in a browser."""
