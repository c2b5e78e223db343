"""Thalamic volumes, cortical thickness and thalamic shape: methods on arrays."""
