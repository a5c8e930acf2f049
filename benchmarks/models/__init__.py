"""Models that studies and peers run: real architectures with seeded weights, exported by the project's own exporter."""
