"""What the project measures about itself; not part of the wheel."""
