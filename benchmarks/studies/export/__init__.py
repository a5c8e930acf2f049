"""Studies of the exporter: real model sizes, speed of int8."""
