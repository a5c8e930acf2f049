"""Where captures come from: one folder a family, one file a driver; registry.py finds the driver for a SPEC."""
