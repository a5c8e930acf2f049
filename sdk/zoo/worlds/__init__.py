"""Worlds that make training data: pictures, sounds and texts with their labels."""
