"""ChemNet's activations, the FCD's identities, and what is kept of a data set."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from molgen.evaluation import fcd
from molgen.evaluation.draws import sample
from molgen.evaluation.fcd import Fcd, chemnet_activations, fcd_distance, fcd_warnings, split_activations

SMALL = [
    start + "C" * length + end for start in ("", "O", "N", "F") for end in ("", "#N", "=O") for length in range(1, 9)
]


def test_activations_are_those_of_the_fcd_package():
    import torch
    from fcd import load_ref_model
    from fcd.utils import SmilesDataset

    smiles = SMALL[::12]
    rows = np.stack([SmilesDataset(smiles)[row] for row in range(len(smiles))])
    with torch.no_grad():
        expected = load_ref_model()(torch.from_numpy(rows).transpose(1, 2).float()).numpy()
    found = chemnet_activations(smiles)
    assert found.dtype == np.float32 and found.shape == (len(smiles), fcd.CHEMNET_WIDTH)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_activations_leave_out_what_chemnet_cannot_take_and_report_progress():
    seen: list[tuple[str, int, int | None]] = []
    smiles = ["CCO", "C(C)" * 120 + "C"]
    found = chemnet_activations(smiles, lambda *told: seen.append(told), "reading letters")
    assert found.shape == (1, fcd.CHEMNET_WIDTH)
    assert seen == [("reading letters", 1, 1)]
    assert chemnet_activations([]).shape == (0, fcd.CHEMNET_WIDTH)


def test_fcd_of_known_gaussians():
    rows = np.random.default_rng(0).normal(size=(600, fcd.CHEMNET_WIDTH)).astype(np.float32)
    assert fcd_distance(rows, rows) == pytest.approx(0, abs=1e-3)
    shift = np.zeros(fcd.CHEMNET_WIDTH, np.float32)
    shift[:4] = 0.5
    assert fcd_distance(rows, rows + shift) == pytest.approx(1.0, rel=1e-3)  # |shift|^2
    # Doubled deviations: Tr(C + 4C - 2 (4 C^2)^(1/2)) = Tr(C)
    spread = np.trace(np.cov(rows.T))
    centred = rows - rows.mean(axis=0)
    assert fcd_distance(centred, 2 * centred) == pytest.approx(spread, rel=1e-3)
    assert fcd_distance(rows, rows[::-1] + shift) == pytest.approx(fcd_distance(rows + shift, rows), rel=1e-3)


def test_fcd_tells_like_from_unlike():
    other = ["c1ccc(cc1)" + "C" * length + "S" for length in range(1, 40)]
    same = fcd_distance(SMALL[::2], SMALL[1::2])
    assert same is not None
    unlike = fcd_distance(SMALL[::2], other)
    assert unlike is not None and unlike > 2 * same


def test_too_few_molecules_give_no_fcd_and_a_warning():
    assert fcd_distance(["CCO"], SMALL) is None
    assert fcd_distance([], SMALL) is None
    enough = Fcd(0.2, 10_000, "mine", 10_000, 0.1, "others of mine")
    assert fcd_warnings(enough) == []
    (few,) = fcd_warnings(replace(enough, molecules=1))
    assert "needs 2 valid generated molecules or more, there are 1" in few
    assert "512 dimensions" in fcd_warnings(replace(enough, molecules=100))[0]
    (text,) = fcd_warnings(replace(enough, reference_molecules=4_000))
    assert "the FCD of 4,000 reference molecules" in text and "with the floor, or with samples" in text


def test_nobody_is_sent_to_a_floor_that_is_not_there():
    (text,) = fcd_warnings(Fcd(0.2, 3_000, "mine", 10_000, None, "others of mine"))
    assert "the FCD of 3,000 generated molecules" in text and "floor" not in text


def test_split_activations_are_kept_and_made_again_when_damaged(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fcd, "FCD_SAMPLE", 5)
    sets = {"test": SMALL}
    prepared = SimpleNamespace(folder=tmp_path, name="mine", smiles=sets.__getitem__)
    computed: list[tuple[str, int, int | None]] = []

    def activations() -> np.ndarray:
        return split_activations(prepared, "test", lambda *told: computed.append(told))  # type: ignore[arg-type]

    first = activations()
    assert first.shape == (5, fcd.CHEMNET_WIDTH) and computed == [("ChemNet, mine test", 5, 5)]
    assert np.array_equal(first, activations())
    assert len(computed) == 1
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert np.array_equal(first, activations())
    assert computed == [("ChemNet, mine test", 5, 5)] * 2
    assert np.array_equal(first, chemnet_activations(sample(SMALL, 5)))
