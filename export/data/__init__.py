"""Samples to calibrate and verify on: folders, takes, the source's own, random ones."""
