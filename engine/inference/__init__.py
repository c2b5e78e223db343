"""Permutation inference on arrays: designs, permutations, statistics, spatial enhancement, corrected p-values."""
