"""Figures about predictions, the paper's published numbers, and the report."""
