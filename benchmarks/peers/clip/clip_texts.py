"""What is asked about every frame."""

TEXTS = ("a red ball", "a green box")
