"""mm-edge tune: measures the ways to run a bundle on this CPU under a live-like load, and remembers the best."""
