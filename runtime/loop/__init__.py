"""The loop: aligns samples into moments and runs the stages of each moment in worker threads."""
