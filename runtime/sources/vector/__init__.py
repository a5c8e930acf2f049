"""Sensor readings."""
