"""The project's own measurements of itself; not part of the wheel."""
