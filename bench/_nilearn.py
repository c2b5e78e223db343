"""nilearn's side of B4 and B5: `permuted_ols`, whose Freedman–Lane permutations are of the same model."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from thalgpu.bench._maps import Cohort

NOT_INSTALLED = "nilearn not installed (extra [validate])"


def permuted_ols(cohort: Cohort, n_perm: int, n_jobs: int, *, tfce: bool) -> Callable[[], dict[str, Any]] | None:
    """A call of nilearn with these many processes of one thread each, two-sided; None where it is not installed."""
    try:
        from nibabel.nifti1 import Nifti1Image
        from nilearn import mass_univariate
        from nilearn.maskers import NiftiMasker
    except ImportError:
        return None
    options: dict[str, Any] = {}
    if tfce:
        mask = Nifti1Image(cohort.mask.astype(np.uint8), np.eye(4))
        options = {"masker": NiftiMasker(mask).fit(), "tfce": True}

    def call() -> dict[str, Any]:
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")  # of its own and its dependencies' future changes
            found: dict[str, Any] = mass_univariate.permuted_ols(
                cohort.matrix[:, 1:2],
                cohort.values,
                confounding_vars=cohort.matrix[:, 2:],
                model_intercept=True,
                n_perm=n_perm,
                two_sided_test=True,
                random_state=0,
                n_jobs=n_jobs,
                output_type="dict",
                **options,
            )
        return found

    return call
