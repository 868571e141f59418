import io
from types import SimpleNamespace

import pytest

from molgen.data import sources
from molgen.data.prepared import prepare
from molgen.data.sources import open_source
from molgen.errors import InputError
from molgen.files import sha256_of
from tests.data.small_set import SMILES


@pytest.fixture
def standard_input(monkeypatch):
    """Puts text on standard input."""

    def put(text: str) -> None:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))

    return put


def test_a_file_is_known_by_its_content_and_read_when_asked(tmp_path):
    (tmp_path / "x.csv").write_text("a,smiles,n\nC,CCO,1\n", encoding="utf-8")
    with open_source(str(tmp_path / "x.csv"), tmp_path, "smiles", ("n",)) as source:
        assert (source.name, source.rows) == ("x.csv", None)
        assert source.digest == sha256_of(tmp_path / "x.csv")
        [(part, rows)] = source.parts(None)
        assert (part, [(row.text, row.values) for row in rows]) == ("", [("CCO", (1.0,))])


def test_standard_input_is_prepared_once_for_each_content(tmp_path, standard_input):
    folders = []
    for texts in (SMILES, SMILES, SMILES[1:]):
        standard_input("\n".join(texts))
        folders.append(prepare("-", cache=tmp_path, workers=1).folder)
    assert folders[0] == folders[1] != folders[2]
    assert folders[0].name.startswith("stdin-")


def test_standard_input_is_limited_and_named(tmp_path, standard_input, monkeypatch):
    standard_input("")
    with open_source("-", tmp_path) as source, pytest.raises(InputError, match=r"^standard input holds no molecules$"):
        list(next(source.parts(None))[1])
    monkeypatch.setattr(sources, "MAX_BYTES", 10)
    standard_input("C\n" * 6)
    with pytest.raises(InputError, match="standard input is larger than"), open_source("-", tmp_path):
        pass
