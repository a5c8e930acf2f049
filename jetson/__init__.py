"""The board: power, telemetry, checks."""
