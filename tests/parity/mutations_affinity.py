"""Changes to the text of affinity.cu that must not go unnoticed: module, text, replacement, what breaks."""

MUTATIONS = (
    ("affinity", "__syncthreads();", "", "a tile is mirrored before it is filled"),
    ("affinity", "column > row || row >= n", "column > row", "rows beyond the last are read and written"),
    ("affinity", "column > row || row >= n", "row >= n", "what is above the diagonal is read"),
    ("affinity", "mirrored < row && row < n", "mirrored < row", "columns beyond the last are written"),
    ("affinity", "mirrored < row && row < n", "row < n", "the lower half of a tile on the diagonal is overwritten"),
    ("affinity", "tile[threadIdx.x][r] = value;", "tile[r][threadIdx.x] = value;", "a tile is not transposed"),
    ("affinity", "if (!present[row] || !present[column]) value = T(0);", "", "rows without direction have an affinity"),
    ("affinity", "!present[row] || !present[column]", "!present[row]", "columns without direction have an affinity"),
    ("affinity", "if (non_negative && value < T(0)) value = T(0);", "", "negative affinities stay"),
    ("affinity", "non_negative && value < T(0)", "value < T(0)", "negative affinities go though they are wanted"),
    ("affinity", "T value = T(row == column);", "T value = T(0);", "the diagonal is not 1"),
    ("affinity", "total > T(0) ? (g + both / T(2)) / total : T(1)", "(g + both / T(2)) / total", "0 / 0"),
    ("affinity", "+ apart * apart;", ";", "distances leave the means out"),
    ("affinity", "value < T(-1) ? T(-1) : value > T(1) ? T(1) : value", "value", "cosines above 1 have no angle"),
)
