"""The command mm-edge: one file a verb."""
