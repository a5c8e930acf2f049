"""The engine of a run: selected at the start, and replaced between two moments when a faster one is found."""
