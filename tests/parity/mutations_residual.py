"""Changes to residual.cu that must not go unnoticed: module, text, replacement, what breaks."""

MUTATIONS = (
    ("residual", "column < n_series ? n_timepoints : 0", "n_timepoints", "a bound: columns beyond the last"),
    ("residual", "t < end; t += blockDim.y) sum", "t <= end; t += blockDim.y) sum", "a bound: rows beyond the last"),
    ("residual", "norm > rounding * (peak * scale)", "norm > 0", "rounding is blown up"),
    ("residual", "is_varying ? (T)(centred * inverse) : T(0)", "(T)(centred * inverse)", "the mask of infinities"),
    ("residual", "end > 0 && threadIdx.y == 0", "threadIdx.y == 0", "a bound: flags beyond the last"),
    ("residual", "(double)series[entry] - fitted[entry]", "(double)series[entry]", "what is not held is not projected"),
    ("residual", "value - fitted[entry]", "value", "what is held is not projected"),
    ("residual", "left(t) * scale - mean;\n        squares", "left(t) * scale;\n        squares", "nothing is centred"),
)
