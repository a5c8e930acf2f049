"""Sinks for predictions, events and the final summary, one file each."""
