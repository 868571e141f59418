import gzip
import hashlib
import json
import zipfile
from importlib.metadata import version

import numpy as np
import pytest

from molgen.data import building, public, splitting
from molgen.data.dataset import group_by_size
from molgen.data.prepared import PreparedSet, open_prepared, prepare
from molgen.data.splitting import split_rows
from molgen.errors import InputError
from molgen.molecules.encoding import mol_to_graph
from molgen.molecules.parsing import clean, parse_smiles
from molgen.molecules.properties import TARGETS
from tests.data.small_set import SMILES, check_aligned, expected_targets, small_set


def test_a_file_is_prepared_cached_and_opened_again(tmp_path, monkeypatch):
    source = tmp_path / "mine.csv"
    source.write_text("smiles,name\n" + "\n".join(f"{s},x" for s in [*SMILES, "C.C", "CCO"]), encoding="utf-8")
    found = prepare(str(source), cache=tmp_path / "cache", workers=1)
    assert found.name == "mine.csv"
    assert found.splits == {"train": 20, "valid": 2, "test": 2}
    assert {smiles for split in found.splits for smiles in found.smiles(split)} == set(SMILES)
    assert found.record["rejected"] == {"several fragments": 1, "duplicate": 1}
    assert found.record["rows"] == found.record["kept"] + 2 == 26
    assert found.statistics == found.graphs("train").statistics()
    check_aligned(found)
    rejects = (found.folder / "rejects.csv").read_text(encoding="utf-8").splitlines()
    assert rejects == ["line,text,name,reason", "26,C.C,x,several fragments", "27,CCO,x,duplicate"]
    monkeypatch.setattr(building, "import_molecules", None)  # nothing is read again
    assert prepare(str(source), cache=tmp_path / "cache") == found
    assert prepare(str(found.folder)) == open_prepared(found.folder) == found
    left = {path.name for path in (tmp_path / "cache").iterdir()}
    assert left == {found.folder.name, f"{found.folder.name}.lock"}


def test_options_and_content_make_another_set(tmp_path):
    source = tmp_path / "x.smi"
    source.write_text("\n".join(SMILES), encoding="utf-8")
    folders = {prepare(str(source), cache=tmp_path, workers=1).folder}
    folders.add(prepare(str(source), cache=tmp_path, workers=1, max_atoms=5).folder)
    source.write_text("\n".join(SMILES[1:]), encoding="utf-8")
    folders.add(prepare(str(source), cache=tmp_path, workers=1).folder)
    assert len(folders) == 3


def test_a_standardised_set_is_another_one_and_says_what_was_changed(tmp_path):
    source = tmp_path / "x.smi"
    rows = [*SMILES, "CC(=O)[O-].[Na+] acetate", "[13CH3]Br", "c1ccncc1.Cl base", "c1ccncc1.Cl again", "[Na+].[Cl-]"]
    source.write_text("\n".join(rows), encoding="utf-8")
    plain = prepare(str(source), cache=tmp_path, workers=1)
    found = prepare(str(source), cache=tmp_path, workers=1, standardise=True)
    assert plain.folder != found.folder and plain.record["rejected"] == {"several fragments": 4}
    assert "standardise" not in plain.record and "standardised" not in plain.record and plain.changes is None
    assert not (plain.folder / "changes.csv").exists()
    assert found.record["standardise"] is True
    assert found.record["rejected"] == {"duplicate": 1, "no organic fragment": 1}
    assert found.record["duplicates"] == {"stereoisomers": 0, "exact repeats": 1}
    # of the rows that were kept
    assert found.record["standardised"] == {
        "rows": 3,
        "fragments removed": 2,
        "charges neutralised": 1,
        "isotopes removed": 1,
    }
    assert (found.record["isotopes_dropped"], found.record["fragments_dropped"]) == (1, 2)
    assert found.changes.read_text(encoding="utf-8").splitlines() == [
        "line,text,name,smiles,changes",
        "25,CC(=O)[O-].[Na+],acetate,CC(=O)O,fragments removed; charges neutralised",
        "26,[13CH3]Br,,CBr,isotopes removed",
        "27,c1ccncc1.Cl,base,c1ccncc1,fragments removed",
    ]
    check_aligned(found)
    assert prepare(str(found.folder), standardise=True) == found
    with pytest.raises(InputError, match="was not standardised when it was prepared"):
        prepare(str(plain.folder), standardise=True)


def test_duplicates_are_stereoisomers_or_repeats(tmp_path):
    source = tmp_path / "x.smi"
    isomers = ["C[C@H](F)Cl", "C[C@@H](F)Cl", "CC(F)Cl", "Cl[C@@H](C)F", "FC(C)Cl", "F/C=C/C", "F/C=C\\C"]
    source.write_text("\n".join([*SMILES, *isomers, "OCC"]), encoding="utf-8")
    record = prepare(str(source), cache=tmp_path, workers=1).record
    assert record["rejected"] == {"duplicate": 6}
    assert record["duplicates"] == {"stereoisomers": 3, "exact repeats": 3}


def test_a_killed_preparation_leaves_nothing_that_looks_prepared(tmp_path, monkeypatch):
    source = tmp_path / "x.smi"
    source.write_text("\n".join(SMILES), encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(building, "save_file", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            prepare(str(source), cache=tmp_path / "cache", workers=1)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    folder = prepare(str(source), cache=tmp_path / "cache", workers=1).folder
    part = folder.with_name(f".{folder.name}.part")  # what kill -9 leaves
    folder.rename(part)
    (part / "meta.json").unlink()
    check_aligned(prepare(str(source), cache=tmp_path / "cache", workers=1))
    assert not part.exists()


def test_an_atom_class_that_only_held_out_molecules_have_moves_them_to_train(tmp_path):
    held_out = [text for text, code in zip(SMILES, split_rows(SMILES, 2, 2), strict=True) if code == 2]
    changed = [text + "Br" if text == held_out[0] else text for text in SMILES]
    source = tmp_path / "x.smi"
    source.write_text("\n".join(changed), encoding="utf-8")
    found = prepare(str(source), cache=tmp_path, workers=1)
    assert min(found.statistics.atoms) > 0
    assert any("Br" in text for text in found.smiles("train"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("C.C\nnope\nnope\n", "none of the 3 rows holds a usable molecule .2 unparsable, 1 several fragments."),
        ("C\nCC\n", "only 2 usable molecules"),
        ("C\nN\nO\n", "too few molecules"),
    ],
)
def test_too_little_to_train_on(tmp_path, content, message):
    (tmp_path / "x.smi").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        prepare(str(tmp_path / "x.smi"), cache=tmp_path / "cache", rejects=tmp_path / "r.csv", workers=1)
    assert (tmp_path / "r.csv").read_text(encoding="utf-8").startswith("line,")


def test_an_unknown_source_or_split_names_what_there_is(tmp_path):
    with pytest.raises(InputError, match="'qm10'; data sets: qm9, moses, chembl"):
        prepare("qm10", cache=tmp_path)
    with pytest.raises(InputError, match="no split 'tset'; splits: train, test"):
        PreparedSet(tmp_path, {"name": "x", "splits": {"train": 1, "test": 1}}).graphs("tset")
    (tmp_path / "meta.json").write_text('{"layout": 0}', encoding="utf-8")
    with pytest.raises(InputError, match="another version"):
        open_prepared(tmp_path)


def test_moses_keeps_its_own_splits(tmp_path, monkeypatch):
    files = {"train": SMILES[:20], "test": SMILES[20:22], "test_scaffolds": [*SMILES[22:], "CCBr"]}
    with zipfile.ZipFile(tmp_path / "wheel.zip", "w") as wheel:
        for name, texts in files.items():
            wheel.writestr(f"moses/dataset/data/{name}.csv.gz", gzip.compress("\n".join(["SMILES", *texts]).encode()))
    monkeypatch.setattr(public, "fetch_wheel", lambda wheel, folder: tmp_path / "wheel.zip")
    monkeypatch.setattr(splitting, "HELD_OUT", 4)
    seen = []
    found = prepare("moses", cache=tmp_path, workers=1, progress=lambda *step: seen.append(step))
    assert found.splits == {"train": 16, "valid": 4, "test": 2, "test_scaffolds": 2}
    assert set(found.smiles("train")) | set(found.smiles("valid")) == set(files["train"])
    assert set(found.smiles("test")) == set(files["test"])
    assert found.record["rejected"] == {"atom type Br outside the vocabulary": 1}
    assert [done for _, done, total in seen if total == 1_936_962] == [20, 22, 25]
    check_aligned(found)


def test_the_sample_of_chembl_is_read_from_its_package(tmp_path, monkeypatch):
    wheels = []

    def fetched(wheel, folder):
        wheels.append(wheel.package)
        with zipfile.ZipFile(tmp_path / "wheel.zip", "w") as file:
            file.writestr("molscore/data/sample.smi", "\n".join([*SMILES, "CC[N+](=O)[O-]"]))
        return tmp_path / "wheel.zip"

    monkeypatch.setattr(public, "fetch_wheel", fetched)
    monkeypatch.setattr(splitting, "HELD_OUT", 4)
    found = prepare("chembl", cache=tmp_path, workers=1)
    assert wheels == ["molscore"] and found.splits == {"train": 17, "valid": 4, "test": 4}
    assert sum(map(len, map(found.smiles, found.splits))) == 25
    check_aligned(found)


def test_prepared_tensors_are_those_of_group_by_size(tmp_path):
    source = tmp_path / "x.smi"
    source.write_text("\n".join(SMILES), encoding="utf-8")
    found = prepare(str(source), cache=tmp_path, workers=1)
    texts = [text for text in SMILES if text in set(found.smiles("train"))]
    expected = group_by_size(
        found.vocabulary, (mol_to_graph(clean(parse_smiles(text)).mol, found.vocabulary.index) for text in texts)
    )
    graphs = found.graphs("train")
    assert list(graphs.by_size) == list(expected.by_size)
    for name, tensor in expected.tensors().items():
        assert tensor.equal(graphs.tensors()[name])


def test_a_users_columns_stay_with_their_molecules(tmp_path):
    source = tmp_path / "mine.csv"
    lines = [f"{text},{k / 4},x" for k, text in enumerate(SMILES)]
    lines[3] = f"{SMILES[3]},,x"  # a missing cell
    lines[1:1] = ["C.C,100,x", "nope,200,x", f"{SMILES[0]},300,x"]  # rejected rows, and a duplicate
    source.write_text("smiles,pIC50,name\n" + "\n".join(lines), encoding="utf-8")
    plain = prepare(str(source), cache=tmp_path / "cache", workers=1)
    found = prepare(str(source), cache=tmp_path / "cache", workers=1, properties=("pIC50",))
    assert found.record["rejected"] == {"several fragments": 1, "unparsable": 1, "duplicate": 1}
    assert (plain.properties, found.properties) == ((), ("pIC50",))
    expected = {text: k / 4 for k, text in enumerate(SMILES)} | {SMILES[3]: np.nan}
    for split in found.splits:
        table = found.targets(split, workers=1)
        assert found.smiles(split) == plain.smiles(split)
        assert table.names == (*TARGETS, "pIC50")
        assert np.array_equal(table.values[:, 12], [expected[text] for text in found.smiles(split)], equal_nan=True)
        assert np.array_equal(table.values[:, :12], expected_targets(found.smiles(split)))
    assert plain.targets("test", workers=1).names == tuple(TARGETS)
    assert prepare(str(found.folder), properties=("pIC50",)) == prepare(str(found.folder)) == found
    with pytest.raises(InputError, match="was not prepared with the columns Ki; it has pIC50"):
        prepare(str(found.folder), properties=("Ki",))
    (found.folder / "values-test.safetensors").unlink()
    (found.folder / "targets-test.safetensors").unlink()
    with pytest.raises(InputError, match=r"values-test.safetensors is damaged or missing; delete"):
        found.targets("test", workers=1)


@pytest.mark.parametrize(
    ("source", "properties", "message"),
    [
        ("x.csv", ("Ki",), r"x.csv has no column 'Ki'; columns: 'smiles', 'pIC50'"),
        ("x.csv", ("pIC50",), r"column 'pIC50' of .*x.csv: 'low' on line 3 is not a number"),
        ("x.csv", ("logp",), "molgen computes 'logp' itself; give that column of .*x.csv another name"),
        ("x.csv", ("pIC50", "pIC50"), "duplicate property column 'pIC50'"),
        ("qm9", ("gap",), "qm9 has no columns of its own"),
    ],
)
def test_columns_that_cannot_be_used_are_named(tmp_path, source, properties, message):
    (tmp_path / "x.csv").write_text("smiles,pIC50\nCCO,1\nCCN,low\nCCC,3\n", encoding="utf-8")
    path = str(tmp_path / source) if source == "x.csv" else source
    with pytest.raises(InputError, match=message):
        prepare(path, properties=properties, cache=tmp_path / "cache", workers=1)


def test_without_columns_a_set_keeps_the_key_it_had(tmp_path):
    found = small_set(tmp_path)
    # as the version before there were columns made it
    options = {"smiles_column": None, "keep_largest": False, "max_atoms": None}
    parts = [1, version("rdkit"), hashlib.sha256((tmp_path / "x.smi").read_bytes()).hexdigest(), options]
    assert found.folder.name == f"x.smi-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}"
    assert "properties" not in found.record
