"""The commands of `mm-edge`, one a file."""
