"""Cases of `symmetric_operator`: both kinds of graph, with and without anisotropy."""

import math

import numpy as np
from registry import Case

from thalgpu.kernels.laplacian import symmetric_operator

TOLERANCE = 1e-13
REASON = "sums of some hundred positive numbers in float64, a root and two products"
ORDERS = {"no rows": 0, "one row": 1, "odd": 35, "prime": 53, "more than one block": 301}


def reference(weights, *, alpha=0.0, self_loops=True):
    """An entry at a time: w / (dᵢ^α dⱼ^α), and then over the roots of both new degrees."""
    w = weights.astype(np.float64)
    n = len(w)
    w = np.array([[w[i, j] if self_loops or i != j else 0.0 for j in range(n)] for i in range(n)]).reshape(n, n)
    d = np.array([math.fsum(row) for row in w])
    w = w / np.outer(d, d) ** alpha
    root = np.sqrt([math.fsum(row) for row in w])
    return w / np.outer(root, root), root


def graph(n, dtype):
    """Symmetric weights, many of them zero, over some orders of magnitude, and a diagonal that would be seen."""

    def make(rng):
        weights = np.triu(np.exp(rng.normal(0, 2, (n, n))) * (rng.random((n, n)) < 0.4))
        weights += np.triu(weights, 1).T
        np.fill_diagonal(weights, 5.0)
        ring = np.arange(n)
        weights[ring, ring - 1] = weights[ring - 1, ring] = 1.0
        return (weights.astype(dtype),)

    return make


def case(name, dtype, n, *, alpha, self_loops):
    """One case; its parameters stand in its name."""
    kernels = ("degrees", *(("damped_degrees",) if alpha else ()), "normalise")
    return Case(
        symmetric_operator,
        f"{name} {dtype}, alpha {alpha}{'' if self_loops else ', no loops'}",
        graph(n, dtype),
        reference,
        tolerance=TOLERANCE,
        reason=REASON,
        options={"alpha": alpha, "self_loops": self_loops},
        cuda=tuple(f"laplacian:{kernel}_f{8 * np.dtype(dtype).itemsize}" for kernel in kernels),
        small=n < 200,
    )


CASES = tuple(
    case(name, dtype, n, alpha=alpha, self_loops=self_loops)
    for name, n in ORDERS.items()
    for dtype in ("f4", "f8")
    for alpha, self_loops in ((0.0, True), (0.5, True), (0.0, False), (1.0, False))
    if not (n == 1 and not self_loops)  # a row with no weight at all, which is refused
)
