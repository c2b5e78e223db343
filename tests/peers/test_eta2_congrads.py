"""congrads' own eta² on real thalamic connectivity."""

import numpy as np

from thalgpu.engine.gradients.affinity import compute_affinity


def test_eta2_equals_congrads_on_real_connectivity(shared_data):
    folder = shared_data / "thalamus_fc"
    reference = np.load(folder / "congrads_l.npz")
    affinity = compute_affinity(np.load(folder / "fc_l.npy").astype(float), kernel="eta2", sparsity=0)
    np.testing.assert_allclose(affinity[0], reference["eta2_row0"], atol=1e-12)
    # Sums over 1068² entries, of which each is right to 1e-12.
    np.testing.assert_allclose([affinity.sum(), (affinity**2).sum()], reference["eta2_trace"], rtol=1e-12)
