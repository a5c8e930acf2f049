"""The state of a run as people and programs see it: counters, lines of JSON, a table for a terminal."""
