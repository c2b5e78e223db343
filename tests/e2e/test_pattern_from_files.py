"""Twenty simulated studies, from files to the table of results by the two commands that a user gives.

Run with `pytest -m studies tests/e2e/test_pattern_from_files.py`: 20 minutes of computing.
"""

import csv
import shutil

import pytest
from scipy import stats

pytestmark = [pytest.mark.studies, pytest.mark.timeout(4 * 3600)]

N_STUDIES, N_PERM = 20, 500
GRADIENTS, SHAPE = "Thalamocortical gradients", "Thalamic shape"
NULL_ARMS = ("Thalamic volume", "Thickness of the primary somatosensory cortex")
NEU_HC, NON_HC, NEU_NON = "neuCLBP - HC", "nonneuCLBP - HC", "neuCLBP - nonneuCLBP"
FEWEST = int(stats.binom(N_STUDIES, 0.9).ppf(0.001))
"""A program with a power of .9 finds an effect less often in one of a thousand runs."""
MOST = int(stats.binom(N_STUDIES, 0.05).ppf(0.999))
"""False alarms of a correct program exceed this in one of a thousand runs."""


@pytest.fixture(scope="module")
def studies(tmp_path_factory, thalgpu):
    """(arm, contrast) → smallest p corrected within the arm, and over all arms, of each study."""
    found = []
    for seed in range(N_STUDIES):
        folder = tmp_path_factory.mktemp("study") / "study"
        done = thalgpu("simulate", "--study", folder, "--seed", seed)
        assert done.exit_code == 0, done.err
        described = folder / "study.toml"
        without_compare = described.read_text().split("[arms.group_gradients]")[0]  # half of the time, and tested alone
        described.write_text(without_compare)
        done = thalgpu("study", described, "--n-perm", N_PERM, "--seed", seed)
        assert done.exit_code == 0, done.err
        with (folder / "study-out/results.tsv").open() as table:
            rows = list(csv.DictReader(table, delimiter="\t"))
        keys = {(row["arm"], row["contrast"]) for row in rows}
        found.append(
            {
                key: tuple(
                    min(float(row[p]) for row in rows if (row["arm"], row["contrast"]) == key)
                    for p in ("p_arm", "p_joint")
                )
                for key in keys
            }
        )
        shutil.rmtree(folder)
    return found


def count(studies, arm, contrast, *, joint=True):
    return sum(study[arm, contrast][int(joint)] <= 0.05 for study in studies)


@pytest.mark.parametrize(
    ("arm", "contrast"), [(SHAPE, NEU_HC), (SHAPE, NEU_NON), (GRADIENTS, NON_HC), (GRADIENTS, NEU_NON)]
)
def test_planted_effects_survive_joint_correction(studies, arm, contrast):
    assert count(studies, arm, contrast) >= FEWEST


@pytest.mark.parametrize(("arm", "contrast"), [(SHAPE, NON_HC), (GRADIENTS, NEU_HC)])
def test_the_other_groups_of_planted_arms_are_not_found(studies, arm, contrast):
    assert count(studies, arm, contrast) <= MOST


@pytest.mark.parametrize("arm", NULL_ARMS)
@pytest.mark.parametrize("contrast", [NEU_HC, NON_HC, NEU_NON])
def test_false_alarms_of_null_arms_are_five_per_cent(studies, arm, contrast):
    assert count(studies, arm, contrast, joint=False) <= MOST
