"""Verdicts on known SMILES, counts with their denominators, and the FCD's identities."""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from molgen.evaluation import scores
from molgen.evaluation.scores import chemnet_activations, fcd_distance, judge, split_activations, summarise
from molgen.molecules.encoding import Decoded
from molgen.molecules.hashing import smiles_hashes

VERDICTS = {
    "OCC": Decoded("CCO", ""),
    "  C1=CC=CC=C1 ": Decoded("c1ccccc1", ""),
    "C[C@H](N)C(=O)O": Decoded("CC(N)C(=O)O", ""),  # stereo and isotopes are not judged
    "[2H]C([2H])O": Decoded("CO", ""),
    "C[N+](=O)[O-]": Decoded("C[N+](=O)[O-]", ""),
    "[Na+].[Cl-]": Decoded("[Cl-].[Na+]", "several fragments"),
    "CC.c1cc[nH]c1": Decoded("CC.c1cc[nH]c1", "several fragments"),
    "C[CH2]": Decoded("", "radical"),
    "CC.C[CH2]": Decoded("", "radical"),  # not sanitised, whatever the number of fragments
    "*C": Decoded("", "dummy atom"),
    "": Decoded("", "empty"),
    "CCO ethanol": Decoded("", "white space inside the SMILES"),
    "C1CC": Decoded("", "unparsable"),
    "c1cccc1": Decoded("", "cannot be kekulized"),
    "C" * 20_000: Decoded("", "SMILES longer than 2000 characters"),
    "C" * 300: Decoded("", "more than 250 heavy atoms"),
    "NA": Decoded("", "unparsable"),
}
SMALL = [
    start + "C" * length + end for start in ("", "O", "N", "F") for end in ("", "#N", "=O") for length in range(1, 9)
]


@pytest.mark.parametrize("smiles", VERDICTS, ids=lambda smiles: smiles[:20] or "empty")
def test_verdicts_on_known_smiles(smiles: str):
    assert list(judge([smiles])) == [VERDICTS[smiles]]


def test_a_valence_that_is_too_high_is_told():
    (verdict,) = judge(["C(C)(C)(C)(C)C"])
    assert not verdict.sanitised and "valence" in verdict.reason


def test_verdicts_do_not_depend_on_workers():
    assert list(judge(VERDICTS, workers=2)) == list(VERDICTS.values())


def test_counts_and_denominators():
    smiles = ["CCO", "OCC", "CCN", "CC.C", "CC.C", "C[CH2]", "", "CCC"]
    training = np.sort(smiles_hashes(["CCN", "c1ccccc1"]))
    summary = summarise(judge(smiles), training=training)
    assert (summary.requested, summary.sanitised, summary.valid, summary.unique, summary.novel) == (8, 6, 4, 3, 2)
    assert summary.reasons == {"several fragments": 2, "radical": 1, "empty": 1}
    assert {share.metric: (share.count, share.total, share.of) for share in summary.shares()} == {
        "sanitised": (6, 8, "requested"),
        "valid": (4, 8, "requested"),
        "unique": (3, 4, "valid"),
        "novel": (2, 3, "unique"),
        "V.U.N.": (2, 8, "requested"),
    }
    shares = {share.metric: share.share or 0 for share in summary.shares()}
    assert shares["V.U.N."] == pytest.approx(shares["valid"] * shares["unique"] * shares["novel"])
    assert summary.to_json()["shares"]["valid"] == {"share": 0.5, "count": 4, "total": 8, "of": "requested"}


def test_counts_do_not_depend_on_how_they_are_chunked(monkeypatch: pytest.MonkeyPatch):
    whole = summarise(judge([*VERDICTS, *VERDICTS]))
    monkeypatch.setattr(scores, "CHUNK", 3)
    assert summarise(judge([*VERDICTS, *VERDICTS])) == whole
    assert whole.unique * 2 == whole.valid


def test_requested_may_be_more_than_the_verdicts_and_nothing_has_no_share():
    verdicts = list(judge(["CCO", "CCN"]))
    assert summarise(verdicts, requested=10) == replace(summarise(verdicts), requested=10)
    assert summarise(verdicts, requested=10).shares()[1].share == 0.2
    nothing = summarise([], training=np.empty(0, np.uint64))
    assert nothing.valid == 0 and all(share.share is None for share in nothing.shares())


def test_activations_are_those_of_the_fcd_package():
    import torch
    from fcd import load_ref_model
    from fcd.utils import SmilesDataset

    smiles = SMALL[::12]
    rows = np.stack([SmilesDataset(smiles)[row] for row in range(len(smiles))])
    with torch.no_grad():
        expected = load_ref_model()(torch.from_numpy(rows).transpose(1, 2).float()).numpy()
    found = chemnet_activations(smiles)
    assert found.dtype == np.float32 and found.shape == (len(smiles), scores.CHEMNET_WIDTH)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_activations_leave_out_what_chemnet_cannot_take_and_report_progress():
    seen: list[int] = []
    assert chemnet_activations(["CCO", "C(C)" * 120 + "C"], seen.append).shape == (1, scores.CHEMNET_WIDTH)
    assert seen == [1]
    assert chemnet_activations([]).shape == (0, scores.CHEMNET_WIDTH)


def test_fcd_of_known_gaussians():
    rows = np.random.default_rng(0).normal(size=(600, scores.CHEMNET_WIDTH)).astype(np.float32)
    assert fcd_distance(rows, rows) == pytest.approx(0, abs=1e-3)
    shift = np.zeros(scores.CHEMNET_WIDTH, np.float32)
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
    assert "needs 2 valid generated molecules or more, there are 1" in scores.fcd_warnings(1, 10_000)[0]
    assert "512 dimensions" in scores.fcd_warnings(100, 10_000)[0]
    assert "the FCD of 4,000 reference molecules" in scores.fcd_warnings(10_000, 4_000)[0]
    assert scores.fcd_warnings(10_000, 10_000) == []


def test_split_activations_are_kept_and_made_again_when_damaged(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scores, "FCD_SAMPLE", 5)
    prepared = SimpleNamespace(folder=tmp_path, smiles=lambda split: SMALL if split == "test" else [])
    computed: list[int] = []
    first = split_activations(prepared, "test", computed.append)  # type: ignore[arg-type]
    assert first.shape == (5, scores.CHEMNET_WIDTH) and computed == [5]
    assert np.array_equal(first, split_activations(prepared, "test", computed.append))  # type: ignore[arg-type]
    assert computed == [5]
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert np.array_equal(first, split_activations(prepared, "test", computed.append))  # type: ignore[arg-type]
    assert computed == [5, 5]


def test_sample_is_a_fixed_draw_without_repeats():
    drawn = scores.sample(SMALL, 20)
    assert drawn == scores.sample(SMALL, 20) and len(set(drawn)) == 20 and set(drawn) < set(SMALL)
    assert drawn == scores.sample(SMALL, 30)[:20]
    assert sorted(scores.sample(SMALL, 10_000)) == sorted(SMALL)


def test_judging_loads_no_network():
    program = "import sys, molgen.evaluation.scores; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
