"""Studies of the live loop: overhead, plain loops, the live page, startup."""
