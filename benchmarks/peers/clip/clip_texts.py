"""The texts that every frame is compared with."""

TEXTS = ("a red ball", "a green box")
