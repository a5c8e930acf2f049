"""Text: fixed, typed, or played."""
