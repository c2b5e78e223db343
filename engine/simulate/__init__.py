"""Synthetic cohorts with known ground truth."""
