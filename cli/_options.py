"""The choices of options that several commands share."""

from enum import StrEnum


class Recipe(StrEnum):
    """Named sets of gradient options."""

    BRAINSPACE = "brainspace"
    CONGRADS = "congrads"


class Kernel(StrEnum):
    """Similarity of two voxels' connectivity profiles."""

    NORMALIZED_ANGLE = "normalized_angle"
    COSINE = "cosine"
    PEARSON = "pearson"
    SPEARMAN = "spearman"
    GAUSSIAN = "gaussian"
    ETA2 = "eta2"


class Approach(StrEnum):
    """Embedding."""

    DM = "dm"
    LE = "le"
    PCA = "pca"


class Graph(StrEnum):
    """Which pairs of voxels the embedding sees."""

    DENSE = "dense"
    EPSILON = "epsilon"


class Hemisphere(StrEnum):
    """Which thalamus, and whether the two share an embedding."""

    BOTH = "both"
    L = "L"
    R = "R"
    SEPARATE = "separate"


class Targets(StrEnum):
    """Which cortex."""

    ALL = "all"
    IPSILATERAL = "ipsilateral"


class Alignment(StrEnum):
    """How subjects are brought onto the template."""

    PROCRUSTES = "procrustes"
    NONE = "none"


class Keep(StrEnum):
    """What is written besides the gradients and the affinity."""

    CONNECTIVITY = "connectivity"
    PROJECTIONS = "projections"
