"""What a model is taught from the tabletop world, and how it is examined."""
