"""Synthetic people showing expressions: known identity, known expression, no licence to ask for."""
