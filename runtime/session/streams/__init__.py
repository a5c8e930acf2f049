"""The streams of a run: what feeds its moments, for one driver or for each of several cameras."""
