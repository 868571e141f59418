"""GuacaMol's own scores of molecules, run by optimize.py in an environment of their own.

python optimize_theirs.py tasks            names of the goal-directed tasks (suite v2), one a line
python optimize_theirs.py score TASK       SMILES on standard input, one a line -> a number for each, one a line
python optimize_theirs.py total TASK       scores on standard input, one a line -> the benchmark's score of them
"""

import sys
import types

import numpy
import scipy

# guacamol 0.5.5 takes histogram from where scipy no longer has it, and imports fcd for another kind of benchmark
scipy.histogram = numpy.histogram
sys.modules["fcd"] = types.ModuleType("fcd")

from guacamol.benchmark_suites import goal_directed_benchmark_suite  # noqa: E402
from guacamol.goal_directed_score_contributions import compute_global_score  # noqa: E402
from rdkit import RDLogger  # noqa: E402

RDLogger.DisableLog("rdApp.*")


def main() -> None:
    benchmarks = {benchmark.name: benchmark for benchmark in goal_directed_benchmark_suite("v2")}
    if sys.argv[1] == "tasks":
        print("\n".join(benchmarks))
        return
    benchmark = benchmarks[sys.argv[2]]
    lines = sys.stdin.read().split()
    if sys.argv[1] == "total":
        print(compute_global_score(benchmark.contribution_specification, [float(line) for line in lines])[0])
        return
    corrupt = benchmark.objective.corrupt_score
    for score in benchmark.objective.score_list(lines):
        print("failed" if score == corrupt else min(1.0, max(0.0, score)))


if __name__ == "__main__":
    main()
