"""Verdicts on known SMILES, and counts with their denominators."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from rdkit import Chem

from molgen.data.readers import Row
from molgen.evaluation import verdicts
from molgen.evaluation.verdicts import examine, judge, summarise
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


@pytest.mark.parametrize("smiles", VERDICTS, ids=lambda smiles: smiles[:20] or "empty")
def test_verdicts_on_known_smiles(smiles: str):
    assert list(judge([smiles])) == [VERDICTS[smiles]]


def test_a_valence_that_is_too_high_is_told():
    (verdict,) = judge(["C(C)(C)(C)(C)C"])
    assert not verdict.sanitised and "valence" in verdict.reason


@pytest.mark.parametrize("smiles", VERDICTS, ids=lambda smiles: smiles[:20] or "empty")
def test_the_molecule_is_there_where_it_is_valid(smiles: str):
    verdict, mol = examine(Row(1, "", smiles))[:2]
    assert verdict == VERDICTS[smiles]
    assert (mol is not None) == verdict.valid
    assert mol is None or Chem.CanonSmiles(Chem.MolToSmiles(mol)) == verdict.smiles


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
    monkeypatch.setattr(verdicts, "CHUNK", 3)
    assert summarise(judge([*VERDICTS, *VERDICTS])) == whole
    assert whole.unique * 2 == whole.valid


def test_requested_may_be_more_than_the_verdicts_and_nothing_has_no_share():
    judged = list(judge(["CCO", "CCN"]))
    assert summarise(judged, requested=10) == replace(summarise(judged), requested=10)
    assert summarise(judged, requested=10).shares()[1].share == 0.2
    nothing = summarise([], training=np.empty(0, np.uint64))
    assert nothing.valid == 0 and all(share.share is None for share in nothing.shares())


def test_judging_loads_no_network():
    program = "import sys, molgen.evaluation.verdicts; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
