"""Draws a tabletop scene as a camera would see it."""
