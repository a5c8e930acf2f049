"""Microphones, and everything else that gives sound."""
