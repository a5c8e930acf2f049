"""Selects the engine that runs a bundle on this machine, and remembers what was measured."""
