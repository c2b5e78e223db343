"""Changes to the text of random.cu that must not go unnoticed: module, text, replacement, what breaks."""

MUTATIONS = (
    (
        "random",
        "if (i >= n_counters) return;",
        "if (i > n_counters) return;",
        "a thread beyond the last counter writes",
    ),
    ("random", "__syncthreads();  // before others read them", "", "keys are compared before they are drawn"),
    ("random", "__syncthreads();  // before the next tile takes their room", "", "keys are replaced while compared"),
    ("random", "min(tile_size, n - tile)", "tile_size", "keys of items that do not exist are counted"),
    ("random", "if (item < n) row[place]", "if (item <= n) row[place]", "a thread beyond the last item writes"),
    ("random", "start + blockIdx.x", "start", "every permutation is the first"),
    ("random", "if (warp >= (long long)n_rows * blocks_a_row) return;", "", "warps beyond the last row write"),
    ("random", "if (item < n) flips", "flips", "flips beyond the last item overwrite the next row's"),
    ("random", "round < 10", "round < 9", "the bits are those of another generator"),
)
