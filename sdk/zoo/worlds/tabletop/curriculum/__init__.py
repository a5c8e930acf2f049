"""Training on the tabletop world: batches, courses, and the evaluation."""
