"""Training of the zoo's models: one loop, resumable at any moment, with a report at its end."""
