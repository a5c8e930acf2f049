"""The bundle: its manifest, container, signature, reader and writer."""
