"""Live loops of other projects, one per file, and of mm-edge in the same form."""
