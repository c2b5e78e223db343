"""Changes to the text of glm.cu that must not go unnoticed: module, text, replacement, what breaks."""

MUTATIONS = (
    ("glm", "i < n_entries", "i <= n_entries", "a bound: an entry beyond the last"),
    ("glm", "has_signs ? signs[i] : 1", "signs[i]", "signs are read where there are none"),
    ("glm", "row < stop", "row < stop - 1", "a bound: the last direction"),
    ("glm", "return left > least ? left : least;", "return left;", "residuals that are nothing but rounding"),
    ("glm", "if (feature >= n_features) return;", "", "a bound: t of features beyond the last"),
    ("glm", "products, 1, n_rows", "products, 0, n_rows", "the effect is nuisance, too"),
    ("glm", "error > 0 ? effect", "true ? effect", "t of a feature without values"),
    (
        "glm",
        "products, 0, rank, n_features",
        "products, 0, rank + 1, n_features",
        "a bound: a nuisance direction is tested",
    ),
    ("glm", "(error * rank)", "error", "F of sums in place of means"),
    ("glm", ">= thresholds[feature]", "> thresholds[feature]", "ties do not count"),
    ("glm", "atomicAdd(&counts[feature], count);", "counts[feature] += count;", "blocks count over one another"),
)
