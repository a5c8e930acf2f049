"""Studies that need a GPU."""
