"""Files that unpack to far more than they are, or hold one enormous cell: a message or rejected rows, little memory."""

import gzip
import json
import subprocess
import sys

import pytest

READ = """
import json, resource, sys
from molgen.data.readers import read_molecules
from molgen.errors import InputError
resource.setrlimit(resource.RLIMIT_AS, (3_000_000_000, 3_000_000_000))
found = {}
for path in sys.argv[1:]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows, longest, error = 0, 0, ""
    try:
        for row in read_molecules(path):
            rows, longest = rows + 1, max(longest, len(row.text))
    except InputError as told:
        error = str(told)
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1000
    found[path.rsplit("/", 1)[-1]] = rows, longest, error, more
print(json.dumps(found))
"""
LONG = "is longer than 1,000,000 characters"
MEGABYTE = b"C" * 1_000_000
LINES = (b"y" * 79 + b"\n") * 12_500
MOL = b"x\n     RDKit\n\n  1  0  0  0  0  0  0  0  0  0999 V2000\n"
# name -> how it begins, what comes 200 times, what it is told or how many rows it has
BOMBS: dict[str, tuple[bytes, bytes, str | int]] = {
    "line.smi.gz": (b"CCO\n", MEGABYTE, LONG),
    "line.csv.gz": (b"smiles,b\nCCO,", MEGABYTE, LONG),
    "cell.csv.gz": (b'smiles,b\nCCO,"', MEGABYTE, LONG),
    "lines.csv.gz": (b'smiles,b\nCCO,"', LINES, "not a table"),
    "header.csv.gz": (b"smiles,", MEGABYTE, LONG),
    "cell.tsv.gz": (b"smiles\tb\nCCO\t", MEGABYTE, LONG),
    "record.sdf.gz": (MOL, LINES, 1),
    "line.sdf.gz": (MOL, MEGABYTE, LONG),
    "field.sdf.gz": (MOL + b"M  END\n>  <note>\n", LINES, 1),
    "zeros.smi.gz": (b"", bytes(1_000_000), "binary file"),
    "cell.csv": (b'smiles,b\nCCO,"', MEGABYTE, LONG),
}


@pytest.fixture(scope="module")
def read(tmp_path_factory) -> dict[str, tuple[int, int, str, int]]:
    """Rows, the longest text, the error, and MB of memory that the reading took, of each bomb."""
    folder = tmp_path_factory.mktemp("bombs")
    for name, (start, piece, _) in BOMBS.items():
        with gzip.open(folder / name, "wb", 1) if name.endswith(".gz") else (folder / name).open("wb") as file:
            file.write(start)
            for _ in range(200 if name.endswith(".gz") else 50):
                file.write(piece)
    paths = [str(folder / name) for name in BOMBS]
    done = subprocess.run([sys.executable, "-c", READ, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, tuple[int, int, str, int]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_told_or_rejected_and_takes_little_memory(read, name: str):
    rows, longest, error, more = read[name]
    expected = BOMBS[name][2]
    if isinstance(expected, int):
        assert (rows, error) == (expected, "") and longest <= 200_001
    else:
        assert name in error and expected in error
    assert more < 100
