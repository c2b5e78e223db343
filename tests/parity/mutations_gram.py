"""Changes to the text of gram.cu that must not go unnoticed: module, text, replacement, what breaks."""

SUMMED = "for (int column = threadIdx.x; column < n_columns; column += blockDim.x) sum += row[column];"
TAKEN_OFF = "for (int column = threadIdx.x; column < n_columns; column += blockDim.x) row[column] -= mean;"

MUTATIONS = (
    ("gram", "__syncthreads();", "", "a tile is mirrored before it is read"),
    ("gram", "column < row && row < n", "column < row", "rows beyond the last are read"),
    ("gram", "mirrored < row && row < n", "mirrored < row", "columns beyond the last are written"),
    ("gram", "mirrored < row && row < n", "row < n", "the lower half of a tile on the diagonal is overwritten"),
    ("gram", "tile[threadIdx.x][r] =", "tile[r][threadIdx.x] =", "a tile is not transposed"),
    ("gram", SUMMED, SUMMED.replace("<", "<="), "the sum takes in the next row's first entry"),
    ("gram", SUMMED, SUMMED.replace("blockDim.x", "2 * blockDim.x"), "the sum skips entries"),
    ("gram", TAKEN_OFF, TAKEN_OFF.replace("<", "<="), "the next row loses this one's mean"),
    ("gram", "sum / n_columns", "sum", "the sum is taken off in place of the mean"),
)
