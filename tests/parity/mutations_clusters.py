"""Changes to the text of clusters.cu that must not go unnoticed: module, text, replacement, what breaks."""

MUTATIONS = (
    (
        "clusters",
        "__syncthreads();  // before labels are compared\n",
        "\n",
        "labels are compared before they are there",
    ),
    ("clusters", "__syncthreads();  // before labels are followed", "", "labels are followed while they fall"),
    (
        "clusters",
        "is_changed = __syncthreads_or(is_changed);",
        "is_changed = false;",
        "labels are set back while followed",
    ),
    ("clusters", "__syncthreads();  // before labels are compared again", "", "labels are compared while set back"),
    ("clusters", "__syncwarp();  // before sums are kept", "", "sums are kept while others read them"),
    ("clusters", "__syncwarp();  // before more is added to them", "", "more is added before sums are kept"),
    ("clusters", "__syncthreads();  // before members are told", "", "members are told before sums are complete"),
    ("clusters", "map[element] >= threshold", "map[element] > threshold", "values at the threshold are outside"),
    ("clusters", "edge < indptr[element + 1]", "edge <= indptr[element + 1]", "a bound: the next one's neighbour"),
    ("clusters", "atomicMin(&labels.next[element], lowest);", "labels.next[element] = lowest;", "labels rise again"),
    ("clusters", "if (its_label != label) continue;", "", "all of the 32 add up"),
    ("clusters", "if (other < lane) is_first = false;", "", "each element keeps the sums"),
    ("clusters", "other < WARP", "other < WARP - 1", "a bound: the last of the 32"),
    ("clusters", "label == OUTSIDE ||", "", "those outside have the sums of what is before the first"),
    ("clusters", "work + 2 * start", "work", "blocks share their memory"),
)
