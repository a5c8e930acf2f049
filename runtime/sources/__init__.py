"""Sources of captures: one folder per family, one file per driver. registry.py finds the driver for a SPEC."""
