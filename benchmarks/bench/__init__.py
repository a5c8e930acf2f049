"""`mm-edge bench`: measurements, budgets, comparison with a baseline, and reports."""
