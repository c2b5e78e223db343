"""Option values that cannot be meant, refused before anything is read."""

import math

from thalgpu.engine.config import CleaningOptions, GradientOptions
from thalgpu.engine.gradients.trend_surface import MAX_ORDER
from thalgpu.errors import UsageError

STRATEGIES = ("24p", "36p", "acompcor", "none")
KEPT = ("connectivity", "projections")


def check_gradient_options(options: GradientOptions) -> None:
    """UsageError that names the option, its value and what it may be."""
    require(0 <= options.sparsity < 1, "--sparsity", options.sparsity, "0 or more, and less than 1")
    require(0 <= options.alpha <= 1, "--alpha", options.alpha, "between 0 and 1")
    require(0 < options.min_coverage <= 1, "--min-coverage", options.min_coverage, "more than 0, at most 1")
    time = options.diffusion_time
    require(0 <= time < math.inf, "--diffusion-time", time, "0 (all times) or a positive number")
    require(options.n_components >= 1, "--n-components", options.n_components, "1 or more")
    require(
        1 <= options.n_align <= options.n_components,
        "--n-align",
        options.n_align,
        f"between 1 and --n-components, {options.n_components}",
    )
    order = options.trend_surface
    require(0 <= order <= MAX_ORDER, "--trend-surface", order, f"0 for none, or an order up to {MAX_ORDER}")
    for kept in options.keep:
        require(kept in KEPT, "--keep", kept, " or ".join(KEPT))
    if options.approach == "pca" and options.graph == "epsilon":
        raise UsageError("principal components are not defined on an epsilon graph", remedy="use --approach dm or le")


def check_cleaning_options(cleaning: CleaningOptions) -> None:
    """UsageError that names the option, its value and what it may be."""
    for option, value in (
        ("--high-pass", cleaning.high_pass),
        ("--low-pass", cleaning.low_pass),
        ("--scrub-fd", cleaning.scrub_fd),
        ("--tr", cleaning.tr),
    ):
        if value is not None:
            require(0 < value < math.inf, option, value, "a positive number")
    require(0 <= cleaning.fwhm < math.inf, "--fwhm", cleaning.fwhm, "0 for none, or mm")
    require(cleaning.drop_first >= 0, "--drop-first", cleaning.drop_first, "0 or more")
    if cleaning.high_pass and cleaning.low_pass and cleaning.high_pass >= cleaning.low_pass:
        raise UsageError(
            f"nothing passes between --high-pass {cleaning.high_pass:g} and --low-pass {cleaning.low_pass:g} Hz",
            remedy="the high-pass is the lower of the two, e.g. 0.008 and 0.1",
        )
    _check_confounds(cleaning.confounds)


def _check_confounds(confounds: str | tuple[str, ...]) -> None:
    if isinstance(confounds, str):
        require(confounds in STRATEGIES, "--confounds", confounds, f"{', '.join(STRATEGIES)}, or names of columns")
        return
    require(bool(confounds), "--confounds", "''", f"{', '.join(STRATEGIES)}, or names of columns")
    for name in confounds:
        if name.lower() in STRATEGIES:
            raise UsageError(
                f"--confounds {','.join(confounds)}: {name.lower()} is a strategy, which stands alone",
                remedy=f"give --confounds {name.lower()}, or names of columns only",
            )


def require(holds: bool, option: str, value: object, allowed: str) -> None:
    """UsageError that says what the option may be, unless its value holds."""
    if not holds:
        raise UsageError(f"{option} {value} is not possible", remedy=f"it must be {allowed}")
