"""What a data set is prepared from: a public set, a file of the user's, or standard input."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from molgen.data.public import PUBLIC, Parts
from molgen.data.readers import MAX_BYTES, read_molecules
from molgen.errors import InputError
from molgen.files import sha256_of
from molgen.progress import Progress


@dataclass(frozen=True)
class Source:
    """Molecules to prepare.

    name: of a public set, "stdin" or the file's name. digest: SHA-256 of what is read. rows: how many there are, where
    that is known. parts: gives the parts of the set, each with its rows. column: where a table of the user's is read,
    gives the name of its SMILES column, once that is found.
    """

    name: str
    digest: str
    rows: int | None
    parts: Callable[[Progress | None], Parts]
    column: Callable[[], str | None] = lambda: None


@contextmanager
def open_source(
    source: str, downloads: Path, smiles_column: str | None = None, properties: tuple[str, ...] = ()
) -> Iterator[Source]:
    """Yield a source by its name: a public set, "-" for standard input, or the path of a file.

    downloads: folder of the files of public sets. smiles_column, properties: see `read_molecules`. Raises InputError
    for an unknown name. Standard input is copied first, since its content decides where the prepared set is kept.
    """
    if source in PUBLIC:
        public = PUBLIC[source]
        yield Source(source, public.digest(), public.rows, lambda progress: public.parts(downloads, progress))
    elif source == "-":
        with tempfile.TemporaryDirectory(prefix="molgen-") as temporary:
            path = Path(temporary) / "stdin.smi"
            _copy_standard_input(path)
            yield _of_file("stdin", path, "standard input", smiles_column, properties)
    elif not Path(source).exists():
        raise InputError(f"no data set and no file is called {source!r}; data sets: {', '.join(PUBLIC)}")
    else:
        path = Path(source)
        yield _of_file(path.name, path, str(path), smiles_column, properties)


def _of_file(name: str, path: Path, label: str, smiles_column: str | None, properties: tuple[str, ...]) -> Source:
    read_molecules(path, label=label)  # says what is wrong with a name before anything is done

    columns: list[str] = []

    def parts(_progress: Progress | None) -> Parts:
        rows = read_molecules(path, smiles_column, label=label, properties=properties, on_column=columns.append)
        yield "", rows

    return Source(name, sha256_of(path), None, parts, lambda: columns[-1] if columns else None)


def _copy_standard_input(path: Path) -> None:
    with path.open("wb") as file:
        size = 0
        while piece := sys.stdin.buffer.read(1 << 20):
            size += file.write(piece)
            if size > MAX_BYTES:
                raise InputError(f"standard input is larger than {MAX_BYTES / 1e6:,.0f} MB")
