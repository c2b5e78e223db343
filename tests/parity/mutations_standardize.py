"""Changes to standardize.cu, and to the folds over columns, that must not go unnoticed: module, text, replacement, what
breaks."""

MUTATIONS = (
    ("common", "__syncthreads();  // before the next level of the tree", "", "a column's tree reads unwritten sums"),
    ("common", "__syncthreads();  // before the root is read", "", "a column's sum is read before it is complete"),
    ("common", "__syncthreads();  // before another fold writes", "", "a column's sum is replaced before it is read"),
    ("standardize", "column < n_series ? n_timepoints : 0", "n_timepoints", "a bound: columns beyond the last"),
    ("standardize", "t < end; t += blockDim.y) sum", "t <= end; t += blockDim.y) sum", "a bound: rows beyond the last"),
    ("standardize", "norm > rounding * (peak * scale)", "norm > 0", "rounding is blown up"),
    ("standardize", "is_varying ? (T)(centred * inverse) : T(0)", "(T)(centred * inverse)", "the mask of infinities"),
    ("standardize", "-max(exponent, -1000)", "0", "squares overflow"),
    ("standardize", "end > 0 && threadIdx.y == 0", "threadIdx.y == 0", "a bound: flags beyond the last"),
    ("standardize", "is_held ? blockDim.x : n_series", "blockDim.x", "columns that are not held are read askew"),
)
