"""Do our set metrics agree with those of MOSES and GuacaMol, and how much faster are they?

python benchmarks/agreement.py --num 10000
python benchmarks/agreement.py --num 30000 --kept

Both programs get the same two lists of molecules: the first are drawn from MOSES' training part, with one in ten
exchanged for a molecule of QM9 so that the distances are not all those of two equal sets; the second from its test
part. With --kept there is no second list: as in daily use, the first is compared with all of MOSES' test and
test_scaffolds, of which both programs keep what they need (molgen's is made before the clock starts; its FCD is to
10,000 molecules of each part, theirs to all). With --generated the first list is the molecules of a file that `molgen
generate` wrote. pip fetches `molsets` 0.3.1, `guacamol` 0.5.5 and `fcd_torch` 1.0.7, which run in a process of their
own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from molgen.distributions import kl_score, moses_suite
from molgen.downloads import MOSES_WHEEL, fetch_wheel
from molgen.isolation import available_cores
from molgen.prepared import PreparedSet, cache_folder, prepare
from molgen.scores import chemnet_activations, fcd_distance, sample, split_activations
from molgen.sketches import sketches
from molgen.suite import PARTS, kept_sketches, suite_figures

HERE = Path(__file__).resolve().parent


def peers(folder: Path) -> list[str]:
    """Folders with the code of both programs, for PYTHONPATH."""
    with zipfile.ZipFile(fetch_wheel(MOSES_WHEEL, cache_folder() / "downloads")) as wheel:
        wheel.extractall(folder / "moses")
    for package, kind in (("fcd_torch==1.0.7", "--only-binary"), ("guacamol==0.5.5", "--no-binary")):
        options = ["--no-deps", "--quiet", kind, ":all:", "--target", str(folder / "peers")]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, package], check=True, stdout=sys.stderr)
    return [str(folder / "moses"), str(folder / "peers")]


def theirs(task: str, files: list[str], workers: int, path: list[str]) -> dict:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": str(workers)}
    command = [sys.executable, str(HERE / "agreement_theirs.py"), task, *files, str(workers)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{task} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def ours(task: str, generated: list[str], reference: list[str], workers: int) -> dict:
    started = time.perf_counter()
    kind = "moses" if task == "moses" else "kl"
    tables = [pd.concat(sketches(smiles, kind, workers), ignore_index=True) for smiles in (generated, reference)]
    if task == "moses":
        figures = moses_suite(*tables) | {"FCD": fcd_distance(generated, reference)}
    else:
        figures = {"KL": kl_score(*tables)}
    return {"figures": figures, "seconds": time.perf_counter() - started}


def ours_kept(generated: list[str], prepared: PreparedSet, workers: int) -> dict:
    suite_figures(generated[:100], prepared, workers)  # what is kept of the set is made here, if it was not before
    real = {part: split_activations(prepared, part) for part in PARTS}
    started = time.perf_counter()
    table = pd.concat(sketches(generated, "moses", workers), ignore_index=True)
    activations = chemnet_activations(generated)
    figures = {}
    for part in PARTS:
        suite = moses_suite(table, kept_sketches(prepared, part, "moses", workers))
        suite["FCD"] = fcd_distance(activations, real[part])
        figures |= {f"{name}/{part}": value for name, value in suite.items()}
    return {"figures": figures, "seconds": time.perf_counter() - started}


def mixture(prepared: PreparedSet, count: int) -> list[str]:
    """Distinct training molecules, one in ten exchanged for a molecule of QM9."""
    generated = sample(prepared.smiles("train"), count)
    others = sample(prepare("qm9").smiles("test"), count // 10)
    generated[: len(others)] = others
    generated = list(dict.fromkeys(generated))
    np.random.default_rng(0).shuffle(generated)
    return generated


def smiles_of(path: Path) -> list[str]:
    return pd.read_csv(path)["smiles"].tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=10_000)
    parser.add_argument("--kept", action="store_true", help="compare with MOSES' own parts, as both programs keep them")
    parser.add_argument("--generated", type=Path, help="a CSV file of `molgen generate`")
    parser.add_argument("--workers", type=int, default=available_cores())
    options = parser.parse_args()
    prepared = prepare("moses")
    reference = sample(prepared.smiles("test"), options.num)
    generated = mixture(prepared, options.num) if options.generated is None else smiles_of(options.generated)
    with tempfile.TemporaryDirectory() as folder:
        path = peers(Path(folder))
        files = []
        for name, smiles in (("generated.smi", generated), ("reference.smi", reference)):
            files.append(str(Path(folder) / name))
            Path(files[-1]).write_text("\n".join(smiles), encoding="utf-8")
        print(f"{len(generated):,} and {len(reference):,} molecules, {options.workers} processes\n")
        print("| metric | molgen | original | difference |\n|---|---|---|---|")
        seconds = {}
        for task in ("kept",) if options.kept else ("moses", "guacamol"):
            if options.kept:
                mine = ours_kept(generated, prepared, options.workers)
            else:
                mine = ours(task, generated, reference, options.workers)
            original = theirs(task, files, options.workers, path)
            for name, value in original["figures"].items():
                found = mine["figures"][name]
                print(f"| {name} | {found:.5f} | {value:.5f} | {abs(found - value):.1e} |", flush=True)
            seconds[task] = (mine["seconds"], original["seconds"])
        print("\n| all of | molgen, s | original, s | ratio |\n|---|---|---|---|")
        for task, (mine, original) in seconds.items():
            print(f"| {task} | {mine:.1f} | {original:.1f} | {original / mine:.1f} |")


if __name__ == "__main__":
    main()
