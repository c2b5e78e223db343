"""Changes to the text of procrustes.cu that must not go unnoticed: module, text, replacement, what breaks."""

MUTATIONS = (
    (
        "procrustes",
        "__syncwarp();  // before lanes read each other's rows",
        "",
        "rows are read before they are complete",
    ),
    (
        "procrustes",
        "if (matrix >= batch) return;",
        "if (matrix > batch) return;",
        "a warp beyond the last product writes",
    ),
    ("procrustes", "row < k ? product", "row <= k ? product", "a row beyond the last is read"),
    ("procrustes", "if (lane < k) rotations", "rotations", "columns beyond the last are written"),
    ("procrustes", "int q = p + 1; q < k;", "int q = p + 1; q < k - 1;", "the last column is never rotated"),
    ("procrustes", "norm <= k * EPSILON<T> * largest", "norm <= 0", "rounding counts as a direction"),
    ("procrustes", "complete(v, present, k);", "", "free directions of the target are left to chance"),
    ("procrustes", "left * 2 * k >=", "left * 2 * k > k *", "no unit vector is found that has enough left"),
    ("procrustes", "* 2 * k * WARP", "* k * WARP", "warps share their working memory"),
)
