"""Changes to the text of reduce.cu that must not go unnoticed: module, text, replacement, what breaks."""

MUTATIONS = (
    ("reduce", "__syncthreads();", "", "lanes fold before others have written"),
    ("reduce", "if (threadIdx.x < half) scratch", "scratch", "lanes without a partner fold, too"),
    ("reduce", "half >= WIDTH", "half > WIDTH", "the last fold is left out"),
    ("reduce", "min(size, n_columns - start)", "size", "rows take in the next one's entries"),
    (
        "reduce",
        "column < n_columns ? min(size, n_rows - start) : 0",
        "column < n_columns ? size : 0",
        "rows beyond the last",
    ),
    ("reduce", "column < n_columns ? min(", "true ? min(", "columns beyond the last have entries"),
    (
        "reduce",
        "threadIdx.x < WIDTH && segment.length > 0) sums",
        "threadIdx.x < WIDTH) sums",
        "columns beyond the last write",
    ),
    (
        "reduce",
        "threadIdx.x < WIDTH && segment.length > 0) sums",
        "segment.length > 0) sums",
        "every lane writes a sum",
    ),
    (
        "reduce",
        "threadIdx.x < WIDTH && segment.length > 0) {",
        "threadIdx.x < WIDTH) {",
        "columns beyond the last have extremes",
    ),
    ("reduce", "row * gridDim.y + blockIdx.y", "row * gridDim.y", "segments of a row write over one another"),
    ("reduce", "(long long)blockIdx.y * n_columns + column", "column", "segments of a column write over one another"),
    ("reduce", "segment.position + i", "i", "positions are those within a segment"),
    (
        "reduce",
        "if (a.position < 0 || b.position < 0) return a.position < 0 ? b : a;",
        "",
        "lanes without entries count",
    ),
    ("reduce", "if (a_nan != b_nan) return a_nan ? a : b;", "", "NaN is not seen"),
    (
        "reduce",
        "return a.position < b.position ? a : b;",
        "return a;",
        "of equal entries another than the first is found",
    ),
    ("reduce", "(a.value > b.value) == largest", "a.value > b.value", "the smallest entry is the largest"),
)
