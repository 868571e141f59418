"""How fast `molgen report` goes over a large file, and how much memory it takes.

python benchmarks/report.py --num 20000 100000

The rows are drawn from MOSES' training part, the reference is QM9, so that nearly all rows are new. Memory is that of
all processes of the command together, read twice a second.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import memory

from molgen.data.prepared import prepare
from molgen.evaluation.draws import sample
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--workers", type=int, default=available_cores())
    options = parser.parse_args()
    smiles = sample(prepare("moses").smiles("train"), max(options.num))
    print(f"{options.workers} workers\n\n| rows | s | rows/s | memory, GB |\n{'|---' * 4}|")
    for count in options.num:
        seconds, peak = measured(smiles[:count], options.workers)
        print(f"| {count:,} | {seconds:.0f} | {count / seconds:.0f} | {peak:.2f} |", flush=True)


if __name__ == "__main__":
    main()
