"""How fast `molgen report` goes over a large file, and how much memory it takes.

python benchmarks/report.py --num 20000 100000
python benchmarks/report.py --num --alerts 5000 --parts 5000

The rows are drawn from MOSES' training part, the reference is QM9, so that nearly all rows are new. Memory is that of
all processes of the command together, read twice a second. With --alerts, also what the structural alerts of a molecule
cost, beside RDKit's own catalogs, which find the same; with --parts, what each part of a row costs.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from processes import memory
from rdkit import Chem

from molgen.data.prepared import prepare
from molgen.data.readers import Row
from molgen.evaluation.assessment import assess_one
from molgen.evaluation.draws import sample
from molgen.evaluation.verdicts import examine
from molgen.molecules.alerts import SETS, alerts, catalog
from molgen.molecules.fingerprints import fingerprint
from molgen.molecules.properties import NUMBERS
from molgen.molecules.substructures import ring_systems, scaffold
from molgen.workers import available_cores

START = "from molgen.cli import main; main()"
WARM = 100  # molecules
PROFILE = "[ranges]\nmw = [0, 1000]\n"  # lets everything pass, which takes the most memory


def measured(smiles: list[str], workers: int) -> tuple[float, float]:
    """Seconds and largest memory in GB of one report."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "rows.smi").write_text("\n".join(smiles) + "\n", encoding="utf-8")
        (folder / "all.toml").write_text(PROFILE, encoding="utf-8")
        words = [sys.executable, "-c", START, "report", str(folder / "rows.smi"), "--reference", "qm9"]
        words += ["--profile", str(folder / "all.toml"), "--output", str(folder / "out"), "--workers", str(workers)]
        started = time.perf_counter()
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            time.sleep(0.5)
        if process.returncode:
            raise SystemExit("molgen report failed")
        return time.perf_counter() - started, peak


def alert_times(smiles: list[str]) -> tuple[float, float]:
    """Milliseconds for the alerts of a molecule, ours and by RDKit's catalogs."""
    mols = [Chem.MolFromSmiles(text) for text in smiles]
    ways = (alerts, lambda mol: [match for name in SETS for match in catalog(name).GetMatches(mol)])
    seconds = []
    for find in ways:
        found = [len(find(mol)) for mol in mols[:100]]  # the first molecules make the patterns ready
        started = time.perf_counter()
        found = [len(find(mol)) for mol in mols]
        seconds.append((time.perf_counter() - started, sum(found)))
    if seconds[0][1] != seconds[1][1]:
        raise SystemExit(f"{seconds[0][1]} alerts, and {seconds[1][1]} by RDKit's catalogs")
    return 1e3 * seconds[0][0] / len(mols), 1e3 * seconds[1][0] / len(mols)


def part_times(smiles: list[str]) -> dict[str, float]:
    """Milliseconds of one core for the whole row and for its parts, the most expensive first.

    Each part gets molecules of its own: RDKit keeps with a molecule what it has computed, so that in a row a part may
    cost less than here.
    """
    rows = [Row(line, "", text) for line, text in enumerate(smiles, start=1)]
    parts: dict[str, Callable[[Chem.Mol], object]] = {
        **NUMBERS,
        "InChIKey": Chem.MolToInchiKey,
        "alerts": alerts,
        "scaffold": scaffold,
        "ring systems": ring_systems,
        "fingerprint": fingerprint,
    }
    seconds = {"reading and judging": timed(examine, rows)}
    for name, part in parts.items():
        seconds[name] = timed(part, [Chem.MolFromSmiles(text) for text in smiles])
    seconds = dict(sorted(seconds.items(), key=lambda item: -item[1]))
    return {
        name: 1e3 * value / len(rows) for name, value in {"the whole row": timed(assess_one, rows), **seconds}.items()
    }


def timed(part: Callable[..., object], items: list[Row] | list[Chem.Mol]) -> float:
    """Seconds for all; the first ones, which make ready what is made once, count with the mean of the others."""
    for item in items[:WARM]:
        part(item)
    started = time.perf_counter()
    for item in items[WARM:]:
        part(item)
    return (time.perf_counter() - started) * len(items) / (len(items) - WARM)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, nargs="*", default=[20_000, 100_000])
    parser.add_argument("--alerts", type=int, default=0, help="molecules whose alerts are timed")
    parser.add_argument("--parts", type=int, default=0, help="molecules for which each part of a row is timed")
    parser.add_argument("--workers", type=int, default=available_cores())
    options = parser.parse_args()
    smiles = sample(prepare("moses").smiles("train"), max([*options.num, options.alerts, options.parts]))
    if options.alerts:
        ours, theirs = alert_times(smiles[: options.alerts])
        print(f"alerts of {options.alerts:,} molecules, ms each: {ours:.2f}, by RDKit's catalogs {theirs:.2f}")
    if options.parts:
        print(f"of {options.parts:,} molecules\n\n| part of a row | ms |\n|---|---|")
        for name, value in part_times(smiles[: options.parts]).items():
            print(f"| {name} | {value:.3f} |")
    if not options.num:
        return
    print(f"{options.workers} workers\n\n| rows | s | rows/s | memory, GB |\n{'|---' * 4}|")
    for count in options.num:
        seconds, peak = measured(smiles[:count], options.workers)
        print(f"| {count:,} | {seconds:.0f} | {count / seconds:.0f} | {peak:.2f} |", flush=True)


if __name__ == "__main__":
    main()
