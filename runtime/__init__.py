"""Runs bundles: live sources, aligned and pipelined through the parts."""
