"""What `mm-edge bench` measures, and how it reports it."""
