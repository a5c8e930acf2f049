"""The loop: brings samples to moments, and runs the stages of each moment in worker threads."""
