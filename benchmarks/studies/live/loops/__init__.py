"""Hand-written loops that a run is compared with."""
