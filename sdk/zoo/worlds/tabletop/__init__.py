"""The procedural world `tabletop`: pictures, sounds and phrases with exact labels, all from seeds."""
