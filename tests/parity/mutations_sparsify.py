"""Changes to sparsify.cu that must not go unnoticed: module, text, replacement, what breaks."""

MUTATIONS = (
    ("sparsify", "const unsigned bits = value == 0 ? 0 :", "const unsigned bits =", "zeros of two signs, f32"),
    (
        "sparsify",
        "const unsigned long long bits = value == 0 ? 0 :",
        "const unsigned long long bits =",
        "zeros, f64",
    ),
    ("sparsify", "bits >> 31 ? ~bits : bits | 1u << 31", "bits | 1u << 31", "negative numbers in the wrong order"),
    ("sparsify", "__syncthreads();  // before the totals are read", "", "totals of warps are read too early"),
    ("sparsify", "__syncthreads();  // before another sum", "", "totals of warps are replaced too early"),
    ("sparsify", "__syncthreads();  // before what was found is read", "", "the digit is read before it is found"),
    ("sparsify", "__syncthreads();  // before entries are counted", "", "bins are counted in before they are emptied"),
    ("sparsify", "__syncthreads();  // before counts are read", "", "counts are read before they are complete"),
    ("sparsify", "if (lane >= apart) before += other;", "before += other;", "a bound: sums over warps' first lanes"),
    ("sparsify", "if (other < warp) before += scratch[other];", "", "threads of later warps count from 0"),
    ("sparsify", "n_kept <= above + own", "n_kept < above + own", "the last entry of a thread's bins is not found"),
    (
        "sparsify",
        "i < n_columns; i += blockDim.x) {",
        "i <= n_columns; i += blockDim.x) {",
        "a bound: the next row",
    ),
    ("sparsify", "atomicAdd(&bins[key >> low & mask], 1u)", "++bins[key >> low & mask]", "counts are lost in races"),
    ("sparsify", "high == BITS || key >> high == prefix", "true", "the mask of entries with other first digits"),
    ("sparsify", "last.n_kept == last.n_equal ? -1 :", "", "rows without ties are not told from others"),
    (
        "sparsify",
        "i < n_columns; i += blockDim.x) kept",
        "i <= n_columns; i += blockDim.x) kept",
        "a mask's bound",
    ),
    (
        "sparsify",
        "const bool is_inside = i < n_columns;",
        "const bool is_inside = true;",
        "a bound: the next row's ties",
    ),
    (
        "sparsify",
        "const long long number = seen + ",
        "const long long number = ",
        "ties are counted afresh",
    ),
    ("sparsify", "seen < left ? left - seen : 0", "left", "ties of earlier tiles are forgotten"),
)
