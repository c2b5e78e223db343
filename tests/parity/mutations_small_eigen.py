"""Changes to the text of small_eigen.cu that must not go unnoticed: module, text, replacement, what breaks."""

_BARRIERS = (
    ("before rows and columns are scaled", "rows and columns are scaled by what is not yet there"),
    ("before the first column of the triangle", "the triangle is found from entries that are not yet scaled"),
    ("before the next column of the triangle", "a column is found from one that is not complete"),
    ("before equations are solved with it", "equations are solved with a triangle that is being scaled"),
    ("before rows are solved", "rows are solved while columns are"),
    ("before the whole of it is read", "a matrix is rotated that is not complete"),
    ("before vectors are brought back", "vectors are brought back before they are written"),
    ("before pairs are read", "pairs are read before they are written"),
    ("before the residuals are judged", "residuals are judged before they are measured"),
    ("before the first products", "the first vectors are multiplied before they are written"),
    ("before products are projected", "products are projected before they are complete"),
    ("before the small problem is solved", "the small problem is solved before it is complete"),
    ("before residuals are measured", "residuals are measured before vectors have turned"),
    ("before the next products", "vectors are multiplied before they have moved"),
    ("before the problem is scaled", "a problem is scaled before it is copied"),
)

MUTATIONS = (
    *(("small_eigen", f"__syncthreads();  // {before}", "//", breaks) for before, breaks in _BARRIERS),
    ("small_eigen", "__syncwarp();  // before the row is written over", "//", "a row is written over while it is read"),
    ("small_eigen", "int k = 0; k < j; ++k", "int k = 1; k < j; ++k", "the triangle forgets its first column"),
    ("small_eigen", "if (row > column)", "if (row >= column)", "pivots are divided by their own roots"),
    ("small_eigen", "int i = m - 1; i >= 0", "int i = m - 1; i > 0", "the first row is not brought back"),
)
