"""What a thousand million molecules would take: bytes of each format, distinct molecules by hash, and the sum.

python benchmarks/scale.py --models qm9-digress moses-digress --hashed 20000000

Bytes are those of the files of molecules that were drawn, for each valid one, with all columns; hashes are of as many
made up texts, taken in as the shards of a run are, a thousand at a time.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import molgen
from molgen.generation.molecules import Molecules
from molgen.generation.settings import SHARD_SIZE
from molgen.molecules.hashing import DistinctMolecules

FORMATS = ("csv", "smi", "sdf", "parquet")
GOAL = 1_000_000_000
HASH_VALUES = 2.0**64


def bytes_of(library: Molecules) -> dict[str, float]:
    """Bytes of each valid molecule in each format."""
    with tempfile.TemporaryDirectory(prefix="molgen-scale-") as folder:
        paths = [Path(folder) / f"molecules.{kind}" for kind in FORMATS]
        for path in paths:
            library.save(path)
        return {path.suffix[1:]: path.stat().st_size / len(library.frame()) for path in paths}


def hashed(count: int) -> tuple[float, float, float]:
    """Seconds for the last shard and for each shard in the mean, and bytes of each hash, of so many distinct texts."""
    distinct = DistinctMolecules()
    before, started = most_memory(), time.perf_counter()
    last = 0.0
    for start in range(0, count, SHARD_SIZE):
        begun = time.perf_counter()
        distinct.add([f"CC(=O)Oc1ccccc1C(=O)O{number}" for number in range(start, start + SHARD_SIZE)])
        last = time.perf_counter() - begun
    seconds = time.perf_counter() - started
    assert len(distinct) == count
    return last, seconds * SHARD_SIZE / count, (most_memory() - before) / count


def most_memory() -> int:
    """Bytes that this process has had at most."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["qm9-digress", "moses-digress"])
    parser.add_argument("--num", type=int, default=1_000)
    parser.add_argument("--hashed", type=int, default=20_000_000)
    options = parser.parse_args()
    last, mean, held = hashed(options.hashed)  # first: memory that models had would hide what it takes
    rates = []
    print(f"| model | format | bytes of a molecule | of 10^9, GB |\n{'|---' * 4}|")
    for name in options.models:
        begun = time.perf_counter()
        library = molgen.load_model(name).sample(options.num, seed=0)
        rate = options.num / (time.perf_counter() - begun)
        rates.append(f"{name}: {rate:.1f} samples/s here, {GOAL / rate / 86_400:,.0f} days for 10^9")
        for kind, size in bytes_of(library).items():
            print(f"| {name} | {kind} | {size:.1f} | {size * GOAL / 1e9:,.0f} |", flush=True)
    print(f"\n{'; '.join(rates)}\n")
    print(
        f"{options.hashed:,} hashes: {1e3 * mean:.1f} ms for {SHARD_SIZE:,} in the mean, {1e3 * last:.1f} ms for the "
        f"last, at most {held:.1f} bytes each; of 10^9 distinct molecules {GOAL * (GOAL - 1) / 2 / HASH_VALUES:.3f} "
        "would be called a repeat of another one by chance"
    )


if __name__ == "__main__":
    main()
