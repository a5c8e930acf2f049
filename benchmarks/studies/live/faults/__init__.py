"""Faults of a chaos run: their schedule, how each is made, and who records what is reported."""
