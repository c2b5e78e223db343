"""Papers that a study's methods section may name."""

from thalgpu.engine.report.permute_method import cited

INSTRUMENTS = {
    "painDETECT": "Freynhagen et al. 2006",
    "DN4": "Bouhassira et al. 2005",
    "NeuPSIG": "Finnerup et al. 2016",
}
"""Questionnaires and grades, and whom to cite for them."""


def references(said: str) -> tuple[str, ...]:
    """The papers that a text names, in alphabetical order."""
    own = (text for citation, text in _PAPERS.items() if citation in said)
    return tuple(sorted({*cited(said), *own}, key=str.casefold))


_PAPERS = {
    "Bouhassira et al. 2005": (
        "Bouhassira D, Attal N, Alchaar H, et al. Comparison of pain syndromes associated with nervous or somatic "
        "lesions and development of a new neuropathic pain diagnostic questionnaire (DN4). Pain 2005;114:29–36. "
        "doi:10.1016/j.pain.2004.12.010"
    ),
    "Finnerup et al. 2016": (
        "Finnerup NB, Haroutounian S, Kamerman P, et al. Neuropathic pain: an updated grading system for research and "
        "clinical practice. Pain 2016;157:1599–1606. doi:10.1097/j.pain.0000000000000492"
    ),
    "Fischl 2012": "Fischl B. FreeSurfer. NeuroImage 2012;62:774–781. doi:10.1016/j.neuroimage.2012.01.021",
    "Freynhagen et al. 2006": (
        "Freynhagen R, Baron R, Gockel U, Tölle TR. painDETECT: a new screening questionnaire to identify neuropathic "
        "components in patients with back pain. Curr Med Res Opin 2006;22:1911–1920. doi:10.1185/030079906X132488"
    ),
    "Gower 1975": ("Gower JC. Generalized Procrustes analysis. Psychometrika 1975;40:33–51. doi:10.1007/BF02291478"),
    "Haak et al. 2018": (
        "Haak KV, Marquand AF, Beckmann CF. Connectopic mapping with resting-state fMRI. NeuroImage 2018;170:83–94. "
        "doi:10.1016/j.neuroimage.2017.06.075"
    ),
    "Margulies et al. 2016": (
        "Margulies DS, Ghosh SS, Goulas A, et al. Situating the default-mode network along a principal gradient of "
        "macroscale cortical organization. Proc Natl Acad Sci USA 2016;113:12574–12579. doi:10.1073/pnas.1608282113"
    ),
    "Pain 2025": (
        "Clinical phenotype matters: structural and functional thalamic changes in neuropathic low-back pain. Pain "
        "2025. doi:10.1097/j.pain.0000000000003843"
    ),
    "Patenaude et al. 2011": (
        "Patenaude B, Smith SM, Kennedy DN, Jenkinson M. A Bayesian model of shape and appearance for subcortical "
        "brain segmentation. NeuroImage 2011;56:907–922. doi:10.1016/j.neuroimage.2011.02.046"
    ),
    "Westfall and Young 1993": (
        "Westfall PH, Young SS. Resampling-Based Multiple Testing: Examples and Methods for p-Value Adjustment. "
        "New York: Wiley 1993. ISBN 978-0-471-55761-6"
    ),
    "Winkler, Webster et al. 2016": (
        "Winkler AM, Webster MA, Brooks JC, Tracey I, Smith SM, Nichols TE. Non-parametric combination and related "
        "permutation tests for neuroimaging. Hum Brain Mapp 2016;37:1486–1511. doi:10.1002/hbm.23115"
    ),
}
