"""Do our set metrics agree with those of MOSES and GuacaMol, and how much faster are they?

python benchmarks/agreement.py --num 10000
python benchmarks/agreement.py --num 30000 --kept

Both programs get the same two lists of molecules: the first are drawn from MOSES' training part, with one in ten
exchanged for a molecule of QM9 so that the distances are not all those of two equal sets; the second from its test
part. With --kept there is no second list: as in daily use, the first is compared with all of MOSES' test and
test_scaffolds, of which both programs keep what they need (molgen's is made before the clock starts; its FCD is to
10,000 molecules of each part, theirs to all). With --generated the first list is the molecules of a file that `molgen
generate` wrote. pip fetches `molsets` 0.3.1, `guacamol` 0.5.5 and `fcd_torch` 1.0.7, which run in a process of their
own. They are timed as they come, on one core; molgen on one too, and on all of them, which is how it comes.
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
import torch

from molgen.data.prepared import PreparedSet, cache_folder, prepare
from molgen.data.public import MOSES_WHEEL, fetch_wheel
from molgen.evaluation.descriptors import sketches
from molgen.evaluation.draws import sample
from molgen.evaluation.fcd import chemnet_activations, fcd_distance, split_activations
from molgen.evaluation.set_metrics import kl_score, moses_suite
from molgen.evaluation.suite import PARTS, kept_sketches, suite_figures
from molgen.workers import available_cores

HERE = Path(__file__).resolve().parent


def peers(folder: Path) -> list[str]:
    """Folders with the code of both programs, for PYTHONPATH."""
    with zipfile.ZipFile(fetch_wheel(MOSES_WHEEL, cache_folder() / "downloads")) as wheel:
        wheel.extractall(folder / "moses")
    for package, kind in (("fcd_torch==1.0.7", "--only-binary"), ("guacamol==0.5.5", "--no-binary")):
        options = ["--no-deps", "--quiet", kind, ":all:", "--target", str(folder / "peers")]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, package], check=True, stdout=sys.stderr)
    return [str(folder / "moses"), str(folder / "peers")]


def theirs(task: str, files: list[str], path: list[str]) -> dict:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "agreement_theirs.py"), task, *files]
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
        print(f"{len(generated):,} and {len(reference):,} molecules, {available_cores()} cores\n")
        print("| metric | molgen | original | difference |\n|---|---|---|---|")
        seconds: dict[str, list[float]] = {}
        for task in ("kept",) if options.kept else ("moses", "guacamol"):
            seconds[task] = []
            for workers in (available_cores(), 1):
                torch.set_num_threads(workers)
                if options.kept:
                    mine = ours_kept(generated, prepared, workers)
                else:
                    mine = ours(task, generated, reference, workers)
                seconds[task].append(mine["seconds"])
            original = theirs(task, files, path)
            for name, value in original["figures"].items():
                found = mine["figures"][name]
                print(f"| {name} | {found:.5f} | {value:.5f} | {abs(found - value):.1e} |", flush=True)
            seconds[task].append(original["seconds"])
        print("\n| all of | original on one core, s | molgen on one, s | ratio | molgen on all, s | ratio |")
        print("|---" * 6 + "|")
        for task, (every, one, original) in seconds.items():
            print(
                f"| {task} | {original:.0f} | {one:.0f} | {original / one:.1f} | {every:.0f} | {original / every:.1f} |"
            )


if __name__ == "__main__":
    main()
