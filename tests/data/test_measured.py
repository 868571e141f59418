import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from molgen.data import measured, public
from molgen.data.measured import QUANTUM, TargetTable, quantum_properties, read_table, write_table
from molgen.data.public import Wheel
from molgen.errors import DownloadError, InputError
from molgen.molecules.properties import TARGETS
from tests.data.deadly_convert import deadly_measure
from tests.data.small_set import expected_targets, small_set

QM9 = "SMILES,Dipole_debye,HOMO_au,LUMO_au,HOMO_LUMO_gap_au,Polarizability_bohr3,R2_bohr2,ZPVE_au"
QM9 += ",Heatcapacity_Cv_cal_mol_K"
METHANE = "C,0.,-0.3877,0.1171,0.5048,13.21,35.3641,0.044749,6.469\n"  # as qm9pack 1.0.3 writes it
AMMONIA = "N,1.6256,-0.257,0.0829,0.3399,9.46,26.1563,0.034358,6.316\n"


def small_wheel(path: Path, *parts: str) -> Path:
    """A wheel like qm9pack's, of three parts."""
    with zipfile.ZipFile(path, "w") as wheel:
        for number, part in enumerate(parts, 1):
            wheel.writestr(f"qm9pack/data/qm9_part{number}.csv", f"{QM9}\n{part}")
    return path


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
    monkeypatch.setattr(measured, "measured", None)  # nothing is measured again
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


def test_quantum_properties_have_the_units_they_should(tmp_path, monkeypatch):
    wheel = small_wheel(tmp_path / "w.zip", METHANE, "nope,1,1,1,1,1,1,1,1\n" + AMMONIA, "[H]N,2,2,2,2,2,2,2,2\n")
    monkeypatch.setattr(public, "fetch_wheel", lambda pinned, folder: wheel)
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

    monkeypatch.setattr(public, "fetch_wheel", offline)
    without = found.targets("valid", workers=1)
    assert without.names == tuple(TARGETS)
    assert np.array_equal(without.values, expected_targets([first, second]))
    assert not (found.folder / "targets-valid.safetensors").exists()
    wheel = small_wheel(tmp_path / "w.zip", METHANE, AMMONIA.replace("N", second, 1), "")
    monkeypatch.setattr(public, "fetch_wheel", lambda pinned, folder: wheel)
    monkeypatch.setattr(measured, "isolated_chunks", None)  # TARGETS are not measured again
    table = found.targets("valid")
    assert table.names == (*TARGETS, *QUANTUM)
    assert np.array_equal(table.values[:, :12], without.values)
    assert np.isnan(table.values[0, 12:]).all()
    assert table.values[1, 12:].tolist() == pytest.approx(
        [1.6256, -6.993326, 2.255824, 9.24915, 9.46, 26.1563, 0.934929, 6.316], rel=1e-6
    )
    monkeypatch.setattr(public, "fetch_wheel", offline)  # kept: nothing is fetched again
    assert found.targets("valid").names == table.names
