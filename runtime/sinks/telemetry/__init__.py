"""The status of a run: counters, JSON lines, and the terminal table."""
