"""Connectivity of seeds and between regions: methods on arrays."""
