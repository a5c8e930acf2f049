"""Measures what stands below it."""
