"""Damage to the text that is put before every kernel file: what, in its place, and what that breaks."""

MUTATIONS = (
    (
        "common",
        "__syncthreads();\n    return warp_sum(",
        "return warp_sum(",
        "sums of warps are read before they are written",
    ),
    ("common", "lane < blockDim.x / WARP ?", "lane <= blockDim.x / WARP ?", "one warp's sum too many is added"),
    ("common", "apart > 0; apart /= 2", "apart > 1; apart /= 2", "the last step of a fold is left out"),
    ("common", "(long long)blockIdx.x * blockDim.x + threadIdx.x", "threadIdx.x", "blocks do the first one's work"),
)
