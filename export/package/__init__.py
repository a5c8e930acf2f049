"""Packs verified parts into a bundle: manifest, engines, tables and the report page."""
