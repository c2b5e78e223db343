"""Group gradients compared under permutation: each permutation with its own group connectivity and eigenvectors."""
