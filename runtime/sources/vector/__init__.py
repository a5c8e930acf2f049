"""Numbers from sensors."""
