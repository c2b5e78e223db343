"""Changes to rotations.cuh and jacobi.cu that must not go unnoticed: module, text, replacement, what breaks."""

MUTATIONS = (
    ("jacobi", "if (found == SOLVED) write", "if (found != SOLVED) write", "no pairs are written where they are found"),
    (
        "rotations",
        "__syncthreads();  // before the first rotations",
        "//",
        "rotations are chosen from what is not yet read",
    ),
    (
        "rotations",
        "if (!__syncthreads_or(is_turned)) continue;",
        "if (problem.even == 2 && !is_turned) continue;",
        "rows are turned while rotations are chosen",
    ),
    (
        "rotations",
        "__syncthreads();  // before the next round's rotations are chosen",
        "",
        "rotations are chosen from elements that are being turned",
    ),
    ("rotations", "if (column > row) continue;", "", "the upper triangle counts"),
    ("rotations", "row < n ? T(ldexp", "row <= n ? T(ldexp", "a row beyond the last is read where n is odd"),
    ("rotations", "row < (rest + 1) / 2", "row < rest / 2", "some blocks off the diagonal are not turned"),
    ("rotations", "column < width", "column < width - 1", "the last column of blocks is not turned"),
    ("rotations", " || (other == value && i < j)", "", "equal values get the same place"),
    (
        "rotations",
        "&& its_place < place",
        "&& its_place > place",
        "of elements of equal size, the last one has the sign",
    ),
    ("rotations", "= left[rows.x] = xx", "= xx", "only one of two mirrored elements is turned"),
    ("rotations", "is_done = false;", "", "the first sweep is the last"),
)
