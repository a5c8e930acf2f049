"""Cameras and every other source of images."""
