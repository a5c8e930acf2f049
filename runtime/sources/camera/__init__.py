"""Cameras, and everything else that gives pictures."""
