"""What a user would pick instead, side by side with ours: the same model, the same frames, one run."""
