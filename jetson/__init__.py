"""Jetson support: board detection, power mode, clocks and power draw."""
