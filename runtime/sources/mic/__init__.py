"""Microphones and every other source of audio."""
