"""Prove that every molecule of QM9 and MOSES comes back from its graph as the same canonical SMILES, stereo removed.

python benchmarks/roundtrip.py [qm9] [moses]      130,831 and 1,936,962 molecules; both where none is named
python benchmarks/roundtrip.py moses --rows 20000 the first rows of each file alone
python benchmarks/roundtrip.py --check-shipped    also: datasets/qm9.smi.gz holds what its package holds

Each row is parsed, cleaned, written as a graph, decoded, and compared with RDKit's canonical SMILES of the cleaned
molecule: what `molgen data` does with every row, here without dropping duplicates. Exit code 1 when a row is lost.
"""

import gzip
import sys
import time
from collections.abc import Iterator
from itertools import islice

import click
from tqdm import tqdm

from molgen.data.importing import LOST, import_molecules
from molgen.data.prepared import cache_folder
from molgen.data.public import PUBLIC, QM9_WHEEL, qm9_records
from molgen.data.readers import Row
from molgen.files import shipped_folder
from molgen.workers import available_cores


def sources(name: str) -> Iterator[tuple[str, Iterator[Row]]]:
    """The files of one set: (label, rows)."""
    for part, rows in PUBLIC[name].parts(cache_folder() / "downloads", None):
        yield f"{name} {part}".strip(), rows


@click.command(help=__doc__.split("\n\n", maxsplit=1)[0])
@click.argument("names", nargs=-1, type=click.Choice(list(PUBLIC)))
@click.option("--rows", type=click.IntRange(min=1), help="Only the first rows of each file.")
@click.option("--check-shipped", is_flag=True, help="Compare datasets/qm9.smi.gz with the package (104 MB) as well.")
def main(names: tuple[str, ...], rows: int | None, check_shipped: bool) -> None:
    cores = available_cores()
    failed = total = 0
    started = time.perf_counter()
    for name in names or PUBLIC:
        for label, molecules in sources(name):
            part_started = time.perf_counter()
            found = import_molecules(
                tqdm(islice(molecules, rows), desc=label, unit=" molecules", unit_scale=True),
                deduplicate=False,
                on_reject=lambda row, reason: tqdm.write(f"line {row.line}: {row.text}: {reason}"),
            )
            seconds = time.perf_counter() - part_started
            lost, others = found.rejected[LOST], sum(found.rejected.values()) - found.rejected[LOST]
            atoms = " ".join(map(str, found.vocabulary.atoms))
            click.echo(
                f"{label}: {found.rows:,} molecules, {lost} did not come back, {others} rejected for another reason; "
                f"{seconds:.0f} s, {found.rows / seconds:,.0f} molecules/s on {cores} cores; atom classes {atoms}"
            )
            failed += lost + others
            total += found.rows
    if check_shipped:
        shipped = gzip.decompress((shipped_folder("datasets") / "qm9.smi.gz").read_bytes()).decode().split()
        same = shipped == [record["SMILES"] for record in qm9_records(cache_folder() / "downloads")]
        click.echo(f"datasets/qm9.smi.gz {'is' if same else 'IS NOT'} the SMILES column of {QM9_WHEEL.filename}")
        failed += not same
    click.echo(f"total: {total:,} molecules, {failed} failures, {time.perf_counter() - started:.0f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
