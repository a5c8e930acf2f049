"""A session: one run of a bundle from opening to summary, with its sources, sinks and loop supervised."""
