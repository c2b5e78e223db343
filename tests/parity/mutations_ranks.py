"""Changes to ranks.cu that must not go unnoticed: module, text, replacement, what breaks."""

MUTATIONS = (
    ("ranks", "__syncthreads();  // before the row is sorted", "", "entries are compared before they are there"),
    ("ranks", "__syncthreads();  // before the next pairs are compared", "", "entries are compared while exchanged"),
    ("ranks", "i < n_columns ? x[start + i]", "true ? x[start + i]", "a bound: the next row's entries are sorted in"),
    ("ranks", "pair < size / 2", "pair <= size / 2", "a bound: a pair beyond the last"),
    ("ranks", "i > 0 && ascending[i - 1]", "ascending[i - 1]", "a bound: the entry before the first"),
    ("ranks", "low < n && ascending[low]", "ascending[low]", "a bound: the entry after the last"),
    ("ranks", "ascending[i - 1] == value ? 0 : i", "i", "ties with earlier entries"),
    ("ranks", "== is_rising", "== true", "all pairs are put in the same order"),
    ("ranks", "ranks[start + columns[start + i]]", "ranks[start + i]", "ranks stay in the order of the sorted row"),
)
