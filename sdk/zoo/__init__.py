"""The zoo: fusion models in plain torch, composed of encoders, fusions and heads."""
