"""Bytes and operations of Fisher's z: n voxels, m targets; the product before it is cuBLAS's."""

_LOGARITHM = {"f32": 20, "f64": 40}
_PER_ENTRY = 5
"""Two comparisons, a sum, a difference and a product; the quotient counts with the logarithm."""

COSTS = {
    "fisher_z_f32": lambda n, m: (8 * n * m, (_PER_ENTRY + _LOGARITHM["f32"]) * n * m),
    "fisher_z_f64": lambda n, m: (16 * n * m, (_PER_ENTRY + _LOGARITHM["f64"]) * n * m),
    "fisher_z_sums_f32": lambda n, m: (8 * n * m + 8 * n, (1 + _PER_ENTRY + _LOGARITHM["f32"]) * n * m),
    "fisher_z_sums_f64": lambda n, m: (16 * n * m + 8 * n, (1 + _PER_ENTRY + _LOGARITHM["f64"]) * n * m),
}
