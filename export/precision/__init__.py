"""Makes and searches the reduced precisions of every part, and verifies them in the whole model."""
