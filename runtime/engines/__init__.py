"""The engines: ways of running a bundle's graphs, one file each."""
