"""The live page: what the robot sees, hears, reads and decides, in a browser."""
