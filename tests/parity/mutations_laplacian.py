"""Changes to the text of laplacian.cu that must not go unnoticed: module, text, replacement, what breaks."""

SUMMED = "for (int column = threadIdx.x; column < n; column += blockDim.x)\n        if"
NORMALISED = "for (int column = threadIdx.x; column < n; column += blockDim.x) {"

MUTATIONS = (
    ("laplacian", SUMMED, SUMMED.replace("<", "<="), "a degree takes in the next row's first weight"),
    ("laplacian", SUMMED, SUMMED.replace("blockDim.x", "2 * blockDim.x"), "a degree skips weights"),
    ("laplacian", "if (self_loops || column != row) sum", "sum", "loops count though they are left out"),
    ("laplacian", "if (self_loops || column != row) sum", "if (column != row) sum", "loops never count"),
    ("laplacian", "* factor(column)", "", "degrees are not damped"),
    (
        "laplacian",
        "if (threadIdx.x == 0) sums[row] = sum;",
        "if (threadIdx.x == 0) sums[0] = sum;",
        "one degree for all",
    ),
    ("laplacian", NORMALISED, NORMALISED.replace("<", "<="), "the next row's first entry is overwritten"),
    ("laplacian", "counts = self_loops || column != row", "counts = true", "loops stay in the operator"),
    ("laplacian", "* own * factor[column]", "* own", "columns are not normalised"),
)
