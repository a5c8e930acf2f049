"""Preprocessing as torch modules, so that it stands in the graph: what a processor does to pixels and sound."""
