"""Options of a permutation test that cannot be meant, refused before anything is computed."""

from numbers import Integral, Real
from typing import get_args

import numpy as np

from thalgpu.engine.inference.model import Fdr, InferenceOptions, Method, Scale, Tail, TfceGrid
from thalgpu.errors import UsageError


def check_options(options: InferenceOptions) -> None:
    """UsageError that names the option, its value and what it may be."""
    choices = {"method": Method, "tfce_grid": TfceGrid, "statistic_scale": Scale, "tail": Tail, "fdr": Fdr}
    for name, kinds in choices.items():
        allowed = get_args(kinds)
        _require(getattr(options, name) in allowed, name, getattr(options, name), " or ".join(allowed))
    for name in ("sign_flip", "two_sided", "pearson", "tfce"):
        _require(isinstance(getattr(options, name), bool | np.bool_), name, getattr(options, name), "True or False")
    for name in ("n_perm", "seed", "stop_after"):
        _require(isinstance(getattr(options, name), Integral), name, getattr(options, name), "a whole number")
    _require(0 <= options.seed < 2**64, "seed", options.seed, "a whole number from 0 to 2^64 − 1")
    _require(0 <= options.n_perm < 2**31 - 1, "n_perm", options.n_perm, "0 for all that exist, or a number of them")
    _require(options.n_perm != 1, "n_perm", 1, "2 or more: the first is the subjects' own order")
    _require(options.stop_after >= 0, "stop_after", options.stop_after, "0 for never, or a number of exceedances")
    for name in ("tfce_h", "tfce_e", "cluster_threshold"):
        value = getattr(options, name)
        _require(value is None or isinstance(value, Real), name, value, "a number")
    for name, power in (("tfce_h", options.tfce_h), ("tfce_e", options.tfce_e)):
        _require(power is None or 0 <= power <= 10, name, power, "between 0 and 10")
    for name, default in (("tfce_h", None), ("tfce_e", None), ("tfce_grid", "exact")):
        if getattr(options, name) != default and not options.tfce:
            raise UsageError(f"{name} is given, but not tfce", remedy="ask for tfce as well, or leave it out")
    height = options.cluster_threshold
    _require(height is None or 0 < height < float("inf"), "cluster_threshold", height, "a positive number")
    if options.pearson and options.statistic_scale == "z":
        raise UsageError("a correlation has no meaning on the z scale", remedy="leave out pearson, or the z scale")
    if options.stop_after and options.n_perm == 0:
        raise UsageError("stop_after needs random permutations", remedy="give a number of permutations")
    if options.stop_after and options.tail != "none":
        raise UsageError("stop_after and tail exclude each other", remedy="leave one out")


def _require(holds: bool, option: str, value: object, allowed: str) -> None:
    if not holds:
        raise UsageError(f"{option} {value!r} is not possible", remedy=f"it must be {allowed}")
