"""Comparison with other runtimes and libraries: the same model and the same frames, in one run."""
