"""Live loops of other projects, one a file, and ours in the same form."""
