"""One run from opening to summary: sources, sinks and the loop, started, supervised and ended."""
