"""Changes to the text of jacobi.cu that must not go unnoticed: module, text, replacement, what breaks."""

MUTATIONS = (
    (
        "jacobi",
        "__syncthreads();  // before the first rotations",
        "//",
        "rotations are chosen from what is not yet read",
    ),
    (
        "jacobi",
        "if (!__syncthreads_or(is_turned)) continue;",
        "if (problem.even == 2 && !is_turned) continue;",
        "rows are turned while rotations are chosen",
    ),
    (
        "jacobi",
        "__syncthreads();  // before the next round's rotations are chosen",
        "",
        "rotations are chosen from elements that are being turned",
    ),
    ("jacobi", "if (column > row) continue;", "", "the upper triangle counts"),
    ("jacobi", "row < n ? T(ldexp", "row <= n ? T(ldexp", "a row beyond the last is read where n is odd"),
    ("jacobi", "row < (rest + 1) / 2", "row < rest / 2", "some blocks off the diagonal are not turned"),
    ("jacobi", "column < width", "column < width - 1", "the last column of blocks is not turned"),
    ("jacobi", " || (other == value && i < j)", "", "equal values get the same place"),
    ("jacobi", "&& its_place < place", "&& its_place > place", "of elements of equal size, the last one has the sign"),
    ("jacobi", "= left[rows.x] = xx", "= xx", "only one of two mirrored elements is turned"),
    ("jacobi", "is_done = false;", "", "the first sweep is the last"),
)
