"""Losses, face pretraining, the adversarial algorithm, cross-validation."""
