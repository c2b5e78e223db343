"""Changes to the text of weighted_sums.cu that must not go unnoticed: module, text, replacement, what breaks."""

MUTATIONS = (
    ("weighted_sums", "__syncthreads();  // before they are read", "", "members are added before they are read"),
    (
        "weighted_sums",
        "__syncthreads();  // before the next members",
        "//",
        "members are replaced while they are added",
    ),
    ("weighted_sums", "set < n_sets && its_member", "set <= n_sets && its_member", "a set beyond the last is read"),
    (
        "weighted_sums",
        "its_member < n_members",
        "its_member <= n_members",
        "a set takes in the next one's first weight",
    ),
    ("weighted_sums", "member < n_members && entry", "member <= n_members && entry", "a member too many is read"),
    ("weighted_sums", "&& entry < n_entries;", "&& entry <= n_entries;", "an entry beyond the last is read"),
    ("weighted_sums", "if (set < n_sets && entry", "if (entry", "sets beyond the last are written"),
    ("weighted_sums", "entry < n_entries) sums", "entry <= n_entries) sums", "a set writes into the next one"),
    ("weighted_sums", "min(DEPTH, n_members - first)", "DEPTH - 1", "the last member of some is left out"),
    ("weighted_sums", "first += DEPTH", "first += DEPTH + 1", "a member between two rounds is left out"),
)
