import csv
import gzip
import hashlib
import io
import json
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from molgen.cli import cli
from molgen.data import importing, measured, prepared
from molgen.data.dataset import group_by_size
from molgen.data.importing import Converted, Rejects, Settings, convert, import_molecules
from molgen.data.measured import QUANTUM, TargetTable, quantum_properties, read_table, write_table
from molgen.data.prepared import PreparedSet, open_prepared, prepare, split_rows
from molgen.data.public import Wheel, fetch_wheel
from molgen.data.readers import Row
from molgen.errors import DownloadError, InputError
from molgen.files import shipped_folder, spreadsheet_safe
from molgen.molecules.encoding import Decoded, GraphDecoder, mol_to_graph
from molgen.molecules.parsing import clean, parse_smiles
from molgen.molecules.properties import TARGETS, targets
from molgen.molecules.vocabulary import AtomClass, Vocabulary
from tests.data.deadly_convert import deadly, deadly_measure

ALKANES = ["C" * n for n in range(1, 9)]
ALCOHOLS = ["C" * n + "O" for n in range(1, 9)]
AMINES = ["C" * n + "N" for n in range(1, 9)]
SMILES = ALKANES + ALCOHOLS + AMINES


def rows(texts: list[str]) -> list[Row]:
    return [Row(line, f"m{line}", text) for line, text in enumerate(texts, 1)]


def converted(texts: list[str], vocabulary: Vocabulary | None = None, keep_largest=False, max_atoms=None) -> Converted:
    return convert(rows(texts), Settings(vocabulary, max_atoms, keep_largest))


def small_set(folder: Path) -> PreparedSet:
    """SMILES, prepared; train has 20, valid and test 2."""
    (folder / "x.smi").write_text("\n".join(SMILES), encoding="utf-8")
    return prepare(str(folder / "x.smi"), cache=folder / "cache", workers=1)


def expected_targets(smiles: list[str]) -> np.ndarray:
    return np.array([targets(parse_smiles(text)) for text in smiles], np.float32)


def check_aligned(found: PreparedSet) -> None:
    decoder = GraphDecoder(found.vocabulary)
    for split, count in found.splits.items():
        graphs, smiles = found.graphs(split), found.smiles(split)
        decoded = [
            decoder.decode(nodes, pairs).smiles
            for size in sorted(graphs.by_size)
            for nodes, pairs in zip(graphs.by_size[size].nodes.numpy(), graphs.by_size[size].pairs.numpy(), strict=True)
        ]
        assert decoded == smiles
        assert len(smiles) == count


def test_a_chunk_accounts_for_every_row():
    texts = ["CCO", "", "C.C", "[CH3]", "CC(C)(C)(C)C", "C" * 20_000, "[13CH4]", "C[C@H](F)Cl", "CCCCCC"]
    found = converted(texts, max_atoms=5)
    assert found.smiles == ["CCO", "C", "CC(F)Cl"]
    assert found.rejected == {
        1: "empty",
        2: "several fragments",
        3: "radical",
        4: "valence of C exceeded",
        5: "SMILES longer than 2000 characters",
        8: "more than 5 heavy atoms",
    }
    assert found.dropped.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert {size: which.tolist() for size, (which, _, _) in found.groups.items()} == {3: [0], 1: [1], 4: [2]}


def test_a_salt_keeps_its_largest_fragment_when_asked():
    found = converted(["[Na+].CC(=O)[O-]"], keep_largest=True)
    assert (found.smiles, found.dropped.tolist()) == (["CC(=O)[O-]"], [[0, 0, 1]])


def test_a_graph_that_decodes_to_something_else_is_rejected(monkeypatch):
    monkeypatch.setattr(GraphDecoder, "decode", lambda self, nodes, pairs: Decoded("CCC", ""))
    found = converted(["CCC", "CCO"])
    assert (found.smiles, found.rejected) == (["CCC"], {1: "does not come back from its graph"})


def test_a_given_vocabulary_bounds_the_atoms():
    found = converted(["CCO", "CCN"], Vocabulary((AtomClass("O", 0), AtomClass("C", 0))))
    assert found.rejected == {1: "atom type N outside the vocabulary"}
    assert found.groups[3][1].tolist() == [[1, 1, 0]]


def test_import_measures_the_vocabulary_and_counts_duplicates():
    rejected = []
    found = import_molecules(
        rows(["OC(C)=O", "CCO", "OCC", "C[N+](C)(C)CC(=O)[O-]", "nonsense", "CCCl", "CCF"]),
        workers=1,
        on_reject=lambda row, reason: rejected.append((row.line, row.name, reason)),
    )
    # 13 C, 4 O ... and of the classes seen once, by element and charge
    assert [str(atom) for atom in found.vocabulary.atoms] == ["C", "O", "Cl", "F", "N+", "O-"]
    assert found.smiles == ["CC(=O)O", "CCO", "C[N+](C)(C)CC(=O)[O-]", "CCCl", "CCF"]
    assert rejected == [(3, "m3", "duplicate"), (5, "m5", "unparsable")]
    assert found.rows == len(found.smiles) + sum(found.rejected.values()) == 7
    decoder = GraphDecoder(found.vocabulary)
    for positions, nodes, pairs in found.by_size.values():
        decoded = [decoder.decode(*graph).smiles for graph in zip(nodes, pairs, strict=True)]
        assert decoded == [found.smiles[position] for position in positions]


def test_duplicates_can_stay():
    found = import_molecules(rows(["CCO", "OCC"]), workers=1, deduplicate=False)
    assert found.smiles == ["CCO", "CCO"]


def test_the_result_does_not_depend_on_the_chunks(monkeypatch):
    whole = import_molecules(rows(SMILES), workers=1)
    monkeypatch.setattr(importing, "CHUNK", 5)
    pieces = import_molecules(rows(SMILES), workers=2)
    assert (pieces.smiles, pieces.vocabulary) == (whole.smiles, whole.vocabulary)
    assert list(pieces.by_size) == list(whole.by_size)
    for size in whole.by_size:
        for one, other in zip(pieces.by_size[size], whole.by_size[size], strict=True):
            assert np.array_equal(one, other)


def test_a_row_that_kills_or_hangs_its_process_costs_that_row_alone(monkeypatch):
    monkeypatch.setattr(importing, "convert", deadly)
    monkeypatch.setattr(importing, "CHUNK", 4)
    monkeypatch.setattr(importing, "ROW_SECONDS", 1)
    rejected = {}
    texts = ["C", "[Po]", "CC", "CCC", "CO", "CCO", "[At]", "CN"]
    found = import_molecules(rows(texts), workers=1, on_reject=lambda row, reason: rejected.update({row.text: reason}))
    assert rejected == {"[Po]": "crashed RDKit", "[At]": "took longer than 1 s"}
    assert found.smiles == ["C", "CC", "CCC", "CO", "CCO", "CN"]


def test_more_atom_types_than_a_byte_holds_are_rejected(monkeypatch):
    monkeypatch.setattr(importing, "MAX_CLASSES", 2)
    assert converted(["CO", "CN", "O"]).rejected == {1: "more than 2 atom types"}


def test_rejected_rows_are_written_safe_for_a_spreadsheet():
    file = io.StringIO()
    write = Rejects(file)
    write(Row(7, "@SUM(A1)", "=1+1\n" + "C" * 1000), "unparsable")
    write(Row(9, "a,b", "mol\nblock", is_block=True), "empty")
    file.seek(0)
    head, first, second = csv.reader(file)
    assert head == ["line", "text", "name", "reason"]
    assert first[0] == "7" and first[1].startswith("'=1+1 CCC") and len(first[1]) == 201
    assert first[2:] == ["'@SUM(A1)", "unparsable"]
    assert second == ["9", "", "a,b", "empty"]
    assert [spreadsheet_safe(text) for text in ("CCO", "-1", "", "\tx")] == ["CCO", "'-1", "", "'\tx"]


def test_the_split_depends_on_the_set_and_not_on_its_order():
    split = dict(zip(SMILES, split_rows(SMILES, 3, 4).tolist(), strict=True))
    other = SMILES[::-1]
    assert dict(zip(other, split_rows(other, 3, 4).tolist(), strict=True)) == split
    assert sorted(split.values()) == [0] * 17 + [1] * 4 + [2] * 3
    order = np.array(sorted(SMILES))[np.random.default_rng(0).permutation(len(SMILES))]
    assert [split[text] for text in order] == [2] * 3 + [1] * 4 + [0] * 17


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
    monkeypatch.setattr(prepared, "import_molecules", None)  # nothing is read again
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


def test_a_killed_preparation_leaves_nothing_that_looks_prepared(tmp_path, monkeypatch):
    source = tmp_path / "x.smi"
    source.write_text("\n".join(SMILES), encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(prepared, "save_file", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
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
    with pytest.raises(InputError, match="'qm10'; data sets: qm9, moses"):
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
    monkeypatch.setattr(prepared, "fetch_wheel", lambda wheel, folder: tmp_path / "wheel.zip")
    monkeypatch.setattr(prepared, "HELD_OUT", 4)
    seen = []
    found = prepare("moses", cache=tmp_path, workers=1, progress=lambda *step: seen.append(step))
    assert found.splits == {"train": 16, "valid": 4, "test": 2, "test_scaffolds": 2}
    assert set(found.smiles("train")) | set(found.smiles("valid")) == set(files["train"])
    assert set(found.smiles("test")) == set(files["test"])
    assert found.record["rejected"] == {"atom type Br outside the vocabulary": 1}
    assert [done for _, done, total in seen if total == 1_936_962] == [20, 22, 25]
    check_aligned(found)


def test_the_shipped_qm9_is_the_documented_file():
    folder = shipped_folder("datasets")
    data = (folder / "qm9.smi.gz").read_bytes()
    assert hashlib.sha256(data).hexdigest() in (folder / "README.md").read_text(encoding="utf-8")
    assert len(gzip.decompress(data).split()) == 130_831


def test_a_download_is_checked(tmp_path):
    content = b"not what was pinned"
    wheel = Wheel("nothing", "1.0", hashlib.sha256(content).hexdigest())
    (tmp_path / wheel.filename).write_bytes(content)
    assert fetch_wheel(wheel, tmp_path) == tmp_path / "nothing-1.0-py3-none-any.whl"
    (tmp_path / wheel.filename).write_bytes(content[:-1])
    with pytest.raises(DownloadError, match="not the pinned file"):
        fetch_wheel(wheel, tmp_path)


def test_without_a_network_the_message_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(DownloadError, match=r"could not fetch nothing==1.0: .*'pip download --no-deps nothing==1.0'"):
        fetch_wheel(Wheel("nothing", "1.0", ""), tmp_path / "downloads")
    assert not list((tmp_path / "downloads").iterdir())


def test_the_command_prints_the_account_and_writes_the_rejects(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path / "cache"))
    source, rejects = tmp_path / "x.smi", tmp_path / "r.csv"
    source.write_text("\n".join([*SMILES, "[13CH3]Br", "nope"]), encoding="utf-8")
    result = CliRunner().invoke(cli, ["data", str(source), "--rejects", str(rejects)], catch_exceptions=False)
    assert result.exit_code == 0
    table = dict(line.rsplit("  ", 1) for line in result.stdout.splitlines() if "  " in line)
    table = {key.strip(): value.strip() for key, value in table.items()}
    assert table["rows read"] == "26"
    assert table["kept"] == "25"
    assert table["rejected"] == table["unparsable"] == "1"
    assert table["kept, isotopes dropped"] == "1"
    assert table["heavy atoms"] == "1 to 9"
    assert table["atom classes"] == "C N O Br"
    assert Path(table["prepared set"]).is_dir()
    assert rejects.read_text(encoding="utf-8").splitlines()[1:] == ["26,nope,,unparsable"]


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


def test_targets_are_measured_once_in_the_order_of_the_smiles(tmp_path, monkeypatch):
    found, seen = small_set(tmp_path), []
    with monkeypatch.context() as patch:
        patch.setattr(measured, "CHUNK", 8)
        table = found.targets("train", workers=1, progress=lambda *step: seen.append(step))
    assert table.names == tuple(TARGETS)
    assert (table.values.dtype, table.values.shape) == (np.float32, (20, 12))
    assert np.array_equal(table.values, expected_targets(found.smiles("train")))
    assert seen == [("measuring x.smi train", done, 20) for done in (8, 16, 20)]
    kept = read_table(found.folder / "targets-train.safetensors", tuple(TARGETS), 20)
    assert kept is not None and np.array_equal(kept.values, table.values)
    assert not (found.folder / "targets-train.part").exists()
    monkeypatch.setattr(prepared, "measured", None)  # nothing is measured again
    assert np.array_equal(found.targets("train").values, table.values)
    with pytest.raises(InputError, match="no split 'tset'"):
        found.targets("tset")


def test_targets_go_on_behind_what_a_killed_run_left(tmp_path, monkeypatch):
    found, seen = small_set(tmp_path), []
    whole = found.targets("train", workers=1)
    path = found.folder / "targets-train.safetensors"
    content = path.read_bytes()
    head = (json.dumps(list(TARGETS)) + "\n").encode()
    part = path.with_suffix(".part")

    def resumed(left: bytes) -> np.ndarray:
        path.unlink()
        part.write_bytes(left)
        seen.clear()
        values = found.targets("train", workers=1, progress=lambda _stage, done, _total: seen.append(done)).values
        assert not part.exists()
        return values

    monkeypatch.setattr(measured, "CHUNK", 8)
    resumed(head + whole.values[:8].tobytes() + b"half")
    assert (seen, path.read_bytes()) == ([16, 20], content)
    # rows that no molecule has are believed: what is in the part is not measured again
    values = resumed(head + np.full((8, 12), 7, np.float32).tobytes() + whole.values[8].tobytes()[:-1])
    assert np.array_equal(values[:8], np.full((8, 12), 7)) and np.array_equal(values[8:], whole.values[8:])
    resumed(head + whole.values.tobytes())  # killed just before the last step
    assert (seen, path.read_bytes()) == ([], content)
    for left in (b"", head[:10], b'["mw"]\n' + whole.values[:, :1].tobytes()):  # of a version with other targets
        resumed(left)
        assert (seen, path.read_bytes()) == ([8, 16, 20], content)


def test_an_interrupted_measurement_keeps_its_chunks(tmp_path, monkeypatch):
    found, seen = small_set(tmp_path), []
    monkeypatch.setattr(measured, "CHUNK", 6)

    def interrupted(_stage: str, done: int, _total: int | None) -> None:
        if done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        found.targets("train", workers=1, progress=interrupted)
    assert not (found.folder / "targets-train.safetensors").exists()
    values = found.targets("train", workers=1, progress=lambda _stage, done, _total: seen.append(done)).values
    assert seen == [18, 20]
    assert np.array_equal(values, expected_targets(found.smiles("train")))


def test_targets_that_are_damaged_or_of_another_version_are_measured_again(tmp_path):
    found = small_set(tmp_path)
    path = found.folder / "targets-valid.safetensors"
    values = found.targets("valid", workers=1).values
    content = path.read_bytes()
    others = [
        TargetTable(("other", *list(TARGETS)[1:]), values),
        TargetTable(tuple(TARGETS), values[:1]),
        TargetTable(tuple(TARGETS), values.astype(np.float64)),
    ]
    damaged = [b"", b"nonsense", content[:-1]]
    for table in others:
        write_table(path, table)
        damaged.append(path.read_bytes())
    for bad in damaged:
        path.write_bytes(bad)
        assert np.array_equal(found.targets("valid", workers=1).values, values)
        assert path.read_bytes() == content


def test_a_molecule_that_kills_its_process_costs_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "measure", deadly_measure)
    monkeypatch.setattr(measured, "CHUNK", 5)
    texts = ["CCO", "C", "CC", "not a molecule", "CCN", "CCC"]
    values = measured.measured(tmp_path / "x.part", texts, workers=1)
    assert np.isnan(values).all(1).tolist() == [True, False, False, True, False, False]
    good = [1, 2, 4, 5]
    assert np.array_equal(values[good], expected_targets([texts[row] for row in good]))


QM9 = "SMILES,Dipole_debye,HOMO_au,LUMO_au,HOMO_LUMO_gap_au,Polarizability_bohr3,R2_bohr2,ZPVE_au"
QM9 += ",Heatcapacity_Cv_cal_mol_K"


def small_wheel(path: Path, *parts: str) -> Path:
    """A wheel like qm9pack's, of three parts."""
    with zipfile.ZipFile(path, "w") as wheel:
        for number, part in enumerate(parts, 1):
            wheel.writestr(f"qm9pack/data/qm9_part{number}.csv", f"{QM9}\n{part}")
    return path


METHANE = "C,0.,-0.3877,0.1171,0.5048,13.21,35.3641,0.044749,6.469\n"  # as qm9pack 1.0.3 writes it
AMMONIA = "N,1.6256,-0.257,0.0829,0.3399,9.46,26.1563,0.034358,6.316\n"


def test_quantum_properties_have_the_units_they_should(tmp_path, monkeypatch):
    wheel = small_wheel(tmp_path / "w.zip", METHANE, "nope,1,1,1,1,1,1,1,1\n" + AMMONIA, "[H]N,2,2,2,2,2,2,2,2\n")
    monkeypatch.setattr(measured, "fetch_wheel", lambda pinned, folder: wheel)
    found = quantum_properties(tmp_path)
    assert list(found) == ["C", "N"]  # the second ammonia is left out
    known = dict(zip(QUANTUM, found["C"], strict=True))
    assert known == pytest.approx(
        {
            "dipole": 0,
            "homo": -10.54985,  # eV
            "lumo": 3.18645,
            "gap": 13.73631,
            "polarisability": 13.21,
            "spatial_extent": 35.3641,
            "zero_point_energy": 1.21768,
            "heat_capacity": 6.469,
        },
        abs=1e-5,
    )
    assert found["N"][0] == 1.6256


def test_qm9_has_its_quantum_properties_where_they_can_be_fetched(tmp_path, monkeypatch):
    found = small_set(tmp_path)
    found.record["name"] = "qm9"
    first, second = found.smiles("valid")

    def offline(pinned: Wheel, folder: Path) -> Path:
        raise DownloadError("no network")

    monkeypatch.setattr(measured, "fetch_wheel", offline)
    without = found.targets("valid", workers=1)
    assert without.names == tuple(TARGETS)
    assert np.array_equal(without.values, expected_targets([first, second]))
    assert not (found.folder / "targets-valid.safetensors").exists()
    wheel = small_wheel(tmp_path / "w.zip", METHANE, AMMONIA.replace("N", second, 1), "")
    monkeypatch.setattr(measured, "fetch_wheel", lambda pinned, folder: wheel)
    monkeypatch.setattr(measured, "isolated_chunks", None)  # TARGETS are not measured again
    table = found.targets("valid")
    assert table.names == (*TARGETS, *QUANTUM)
    assert np.array_equal(table.values[:, :12], without.values)
    assert np.isnan(table.values[0, 12:]).all()
    assert table.values[1, 12:].tolist() == pytest.approx(
        [1.6256, -6.993326, 2.255824, 9.24915, 9.46, 26.1563, 0.934929, 6.316], rel=1e-6
    )
    monkeypatch.setattr(measured, "fetch_wheel", offline)  # kept: nothing is fetched again
    assert found.targets("valid").names == table.names


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
        ("x.csv", ("pIC50", "pIC50"), "the property column 'pIC50' is named twice"),
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
