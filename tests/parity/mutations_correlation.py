"""Changes to correlation.cu that must not go unnoticed: module, text, replacement, what breaks."""

MUTATIONS = (
    ("correlation", "i < n_entries", "i <= n_entries", "a bound: an entry beyond the last"),
    ("correlation", "i += grid_size()", "i += 2 * grid_size()", "entries are left out"),
    ("correlation", "i < n_columns", "i <= n_columns", "a bound: the first entry of the next row"),
    ("correlation", "r > largest ? largest :", "", "the mask of correlations of 1"),
    ("correlation", "r < -largest ? -largest :", "", "the mask of correlations of -1"),
    ("correlation", "sum += z;", "sum = (float)(sum + z);", "sums are rounded to float32"),
    ("correlation", "if (threadIdx.x == 0) sums[blockIdx.x]", "sums[threadIdx.x]", "sums of other rows are written"),
)
