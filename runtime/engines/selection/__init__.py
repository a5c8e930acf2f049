"""Selects the engine that runs a bundle on this machine, and the precision of each part."""
