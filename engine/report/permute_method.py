"""What a paper's methods section says about a permutation test, and whom it cites."""

from collections.abc import Iterator

import numpy as np

from thalgpu.engine.report import permute_words as words
from thalgpu.engine.report.permute_page import PermutePage


def method(page: PermutePage) -> str:
    """A paragraph for a paper's methods, with the numbers used."""
    return " ".join(_sentences(page))


def references(page: PermutePage) -> tuple[str, ...]:
    """The papers that the paragraph names, in alphabetical order."""
    return cited(method(page))


def cited(said: str) -> tuple[str, ...]:
    """The papers that a text names, in alphabetical order."""
    return tuple(text for citation, text in _PAPERS.items() if citation in said)


def _sentences(page: PermutePage) -> Iterator[str]:
    options, design = page.options, page.design.design
    yield f"A general linear model was fitted to {words.tested(page)} in {len(design.matrix)} subjects."
    yield (
        f"Each contrast's statistic was compared with its distribution over {words.permutations(page)}; nuisance "
        f"variables were dealt with by the method of {words.METHODS[options.method]}, as described by Winkler et al. "
        "(2014)."
    )
    if design.blocks is not None:
        yield "Subjects were exchanged within the limits of exchangeability blocks (Winkler et al. 2015)."
    if design.variance_groups is not None:
        n_groups = len(np.unique(design.variance_groups))
        yield f"Variances were estimated in {n_groups} groups of subjects (Aspin–Welch v, and G, which extends it)."
    if options.tfce:
        settings = words.tfce_settings(options, page.unit)
        yield f"Maps were enhanced without a cluster-forming threshold (TFCE, Smith and Nichols 2009; {settings})."
    if options.cluster_threshold is not None:
        formed = f"{words.scale(page)} ≥ {options.cluster_threshold:g}"
        yield f"Clusters were formed at {formed} and measured by extent and mass (Bullmore et al. 1999)."
    yield (
        f"p-values are corrected for the family-wise error over {words.units(page.unit)} by the distribution of the "
        "largest value in each permutation (Nichols and Holmes 2002): the share of permutations whose maximum reaches "
        "the observed value."
    )
    if words.is_joint(page):
        yield (
            "Joint p-values are corrected over contrasts and parts as well, by maxima over all of them under one set "
            "of permutations (Alberton et al. 2020)."
        )
    if options.tail != "none":
        yield f"Small p-values come from {words.TAILS[options.tail]} fitted to the null (Winkler et al. 2016)."
    if options.stop_after:
        yield (
            f"A p-value counted as settled after {options.stop_after} permutations had reached the observed value "
            "(Besag and Clifford 1991)."
        )
    yield f"Computed with thalgpu {page.version}."


_PAPERS = {
    "Alberton et al. 2020": (
        "Alberton BAV, Nichols TE, Gamba HR, Winkler AM. Multiple testing correction over contrasts for brain "
        "imaging. NeuroImage 2020;216:116760. doi:10.1016/j.neuroimage.2020.116760"
    ),
    "Belkin and Niyogi 2003": (
        "Belkin M, Niyogi P. Laplacian eigenmaps for dimensionality reduction and data representation. Neural Comput "
        "2003;15:1373–1396. doi:10.1162/089976603321780317"
    ),
    "Besag and Clifford 1991": (
        "Besag J, Clifford P. Sequential Monte Carlo p-values. Biometrika 1991;78:301–304. doi:10.1093/biomet/78.2.301"
    ),
    "Björck and Golub 1973": (
        "Björck Å, Golub GH. Numerical methods for computing angles between linear subspaces. Math Comput "
        "1973;27:579–594. doi:10.1090/S0025-5718-1973-0348991-3"
    ),
    "Bullmore et al. 1999": (
        "Bullmore ET, Suckling J, Overmeyer S, et al. Global, voxel, and cluster tests, by theory and permutation, "
        "for a difference between two groups of structural MR images of the brain. IEEE Trans Med Imaging "
        "1999;18:32–42. doi:10.1109/42.750253"
    ),
    "Coifman and Lafon 2006": (
        "Coifman RR, Lafon S. Diffusion maps. Appl Comput Harmon Anal 2006;21:5–30. doi:10.1016/j.acha.2006.04.006"
    ),
    "Dekker et al. (2007)": (
        "Dekker D, Krackhardt D, Snijders TAB. Sensitivity of MRQAP tests to collinearity and autocorrelation "
        "conditions. Psychometrika 2007;72:563–581. doi:10.1007/s11336-007-9016-1"
    ),
    "Freedman and Lane (1983)": (
        "Freedman D, Lane D. A nonstochastic interpretation of reported significance levels. J Bus Econ Stat "
        "1983;1:292–298. doi:10.1080/07350015.1983.10509354"
    ),
    "Manly (1986)": (
        "Manly BFJ. Randomization and regression methods for testing for associations with geographical, "
        "environmental and biological distances between populations. Res Popul Ecol 1986;28:201–218. "
        "doi:10.1007/BF02515450"
    ),
    "Nichols and Holmes 2002": (
        "Nichols TE, Holmes AP. Nonparametric permutation tests for functional neuroimaging: a primer with "
        "examples. Hum Brain Mapp 2002;15:1–25. doi:10.1002/hbm.1058"
    ),
    "Schönemann 1966": (
        "Schönemann PH. A generalized solution of the orthogonal Procrustes problem. Psychometrika 1966;31:1–10. "
        "doi:10.1007/BF02289451"
    ),
    "Smith and Nichols 2009": (
        "Smith SM, Nichols TE. Threshold-free cluster enhancement: addressing problems of smoothing, threshold "
        "dependence and localisation in cluster inference. NeuroImage 2009;44:83–98. "
        "doi:10.1016/j.neuroimage.2008.03.061"
    ),
    "ter Braak (1992)": (
        "ter Braak CJF. Permutation versus bootstrap significance tests in multiple regression and ANOVA. In: "
        "Bootstrapping and Related Techniques. Springer 1992;79–85. doi:10.1007/978-3-642-48850-4_10"
    ),
    "Winkler et al. (2014)": (
        "Winkler AM, Ridgway GR, Webster MA, Smith SM, Nichols TE. Permutation inference for the general linear "
        "model. NeuroImage 2014;92:381–397. doi:10.1016/j.neuroimage.2014.01.060"
    ),
    "Winkler et al. 2015": (
        "Winkler AM, Webster MA, Vidaurre D, Nichols TE, Smith SM. Multi-level block permutation. NeuroImage "
        "2015;123:253–268. doi:10.1016/j.neuroimage.2015.05.092"
    ),
    "Winkler et al. 2016": (
        "Winkler AM, Ridgway GR, Douaud G, Nichols TE, Smith SM. Faster permutation inference in brain imaging. "
        "NeuroImage 2016;141:502–516. doi:10.1016/j.neuroimage.2016.05.068"
    ),
}
