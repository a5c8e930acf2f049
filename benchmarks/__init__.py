"""Benchmarks: `mm-edge bench`, the project's own studies, and the comparison with other libraries."""
