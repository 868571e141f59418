"""How fast `molgen report` goes over a large file, and how much memory it takes.

python benchmarks/report.py --num 20000 100000
python benchmarks/report.py --num --alerts 5000

The rows are drawn from MOSES' training part, the reference is QM9, so that nearly all rows are new. Memory is that of
all processes of the command together, read twice a second. With --alerts, also what the structural alerts of a molecule
cost, beside RDKit's own catalogs, which find the same.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import memory
from rdkit import Chem

from molgen.data.prepared import prepare
from molgen.evaluation.draws import sample
from molgen.molecules.alerts import SETS, alerts, catalog
from molgen.workers import available_cores

START = "from molgen.cli import main; main()"
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, nargs="*", default=[20_000, 100_000])
    parser.add_argument("--alerts", type=int, default=0, help="molecules whose alerts are timed")
    parser.add_argument("--workers", type=int, default=available_cores())
    options = parser.parse_args()
    smiles = sample(prepare("moses").smiles("train"), max([*options.num, options.alerts]))
    if options.alerts:
        ours, theirs = alert_times(smiles[: options.alerts])
        print(f"alerts of {options.alerts:,} molecules, ms each: {ours:.2f}, by RDKit's catalogs {theirs:.2f}")
    if not options.num:
        return
    print(f"{options.workers} workers\n\n| rows | s | rows/s | memory, GB |\n{'|---' * 4}|")
    for count in options.num:
        seconds, peak = measured(smiles[:count], options.workers)
        print(f"| {count:,} | {seconds:.0f} | {count / seconds:.0f} | {peak:.2f} |", flush=True)


if __name__ == "__main__":
    main()
