"""GuacaMol's own scores of molecules, and the package mol_ga, run by optimize.py in an environment of their own.

python optimize_theirs.py tasks SUITE      names of the tasks, one a line; suite v2, or those of PMO that RDKit scores
python optimize_theirs.py score TASK       SMILES on standard input, one a line -> a number for each, one a line
python optimize_theirs.py total TASK       scores on standard input, one a line -> the benchmark's score of them
python optimize_theirs.py evolve TASK BUDGET SEED      the molecules that mol_ga asks for and their scores, one a line
"""

import random
import sys
import types
from contextlib import suppress

import numpy
import scipy

# guacamol 0.5.5 takes histogram from where scipy no longer has it, and imports fcd for another kind of benchmark
scipy.histogram = numpy.histogram
sys.modules["fcd"] = types.ModuleType("fcd")

from guacamol.benchmark_suites import goal_directed_benchmark_suite  # noqa: E402
from guacamol.goal_directed_score_contributions import compute_global_score  # noqa: E402
from guacamol.standard_benchmarks import isomers_c7h8n2o2, qed_benchmark  # noqa: E402
from mol_ga import default_ga  # noqa: E402
from mol_ga.mol_libraries import random_zinc  # noqa: E402
from rdkit import RDLogger  # noqa: E402

RDLogger.DisableLog("rdApp.*")

# PMO (Gao, Fu, Sun and Coley 2022) has 18 of the tasks of suite v2, two more of GuacaMol, and three that need models
NOT_OF_PMO = ("Aripiprazole similarity", "C11H24")


def main() -> None:
    suite = {benchmark.name: benchmark for benchmark in goal_directed_benchmark_suite("v2")}
    benchmarks = suite | {benchmark.name: benchmark for benchmark in (isomers_c7h8n2o2(), qed_benchmark())}
    if sys.argv[1] == "tasks":
        pmo = [name for name in benchmarks if name not in NOT_OF_PMO]
        print("\n".join({"guacamol": list(suite), "pmo": pmo}[sys.argv[2]]))
        return
    benchmark = benchmarks[sys.argv[2]]
    if sys.argv[1] == "evolve":
        for smiles, score in evolved(benchmark.objective, int(sys.argv[3]), int(sys.argv[4])).items():
            print(smiles, score)
        return
    lines = sys.stdin.read().split()
    if sys.argv[1] == "total":
        print(compute_global_score(benchmark.contribution_specification, [float(line) for line in lines])[0])
        return
    for score in scores(benchmark.objective, lines):
        print("failed" if score is None else score)


def scores(objective, smiles):
    """The scores of SMILES, between 0 and 1; None where there is none."""
    found = objective.score_list(smiles)
    return [None if score == objective.corrupt_score else min(1.0, max(0.0, score)) for score in found]


def evolved(objective, budget, seed):
    """The scores of the first `budget` molecules that mol_ga (Tripp and Hernandez-Lobato 2023) asks for, in order.

    It begins with 500 molecules of ZINC that it brings along, and makes 5 from the best of each generation.
    """
    asked = {}

    def ask(smiles):
        fresh = list(dict.fromkeys(text for text in smiles if text not in asked))[: budget - len(asked)]
        for text, score in zip(fresh, scores(objective, fresh), strict=True):
            asked[text] = score or 0.0
        if len(asked) >= budget:
            raise SpentError
        return [asked[text] for text in smiles]

    draws = random.Random(seed)
    with suppress(SpentError):
        default_ga(random_zinc(500, draws), ask, max_generations=budget, offspring_size=5, rng=draws)
    return asked


class SpentError(Exception):
    """All molecules that may be scored have been."""


if __name__ == "__main__":
    main()
