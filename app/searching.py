"""Searches against an objective, as jobs of the queue: each has a folder, from which it goes on when it was ended."""

import json
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from jobs import VALUE, MoleculeSet
from making import assessed_sample
from objectives import parsed
from references import Known

from molgen.errors import MolgenError
from molgen.files import atomic_write
from molgen.generation.cores import parse_core
from molgen.models.checkpoints import Model
from molgen.molecules.hashing import contains, smiles_hashes
from molgen.optimisation.results import curve
from molgen.optimisation.run import optimise
from molgen.optimisation.search import Search
from molgen.parallel import chunks

PLAN, RUN = "plan.json", "run"  # in the folder of a search: what it was asked for, and the folder that molgen writes
FILES = {"report.html": "text/html", "best.csv": "text/csv", "molecules.csv": "text/csv"}
AT_ONCE = 50  # molecules judged between two looks at whether to stop
ENDED = "the server was ended while this search ran; what was scored is kept"


@dataclass(frozen=True)
class Plan:
    """What a search is asked for. model: a name that the server knows; objective: TOML; budget: molecules to score;
    batch: of them between two choices of whom to change; steps: network evaluations of a molecule; core: SMILES, ""
    for none."""

    model: str
    objective: str
    budget: int
    batch: int
    steps: int
    seed: int
    core: str = ""

    @property
    def command(self) -> str:
        """The `molgen optimize` line that makes the same search, with the objective in objective.toml."""
        words: list[object] = ["molgen", "optimize", "objective.toml", "--model", self.model, "--budget", self.budget]
        words += ["--core", self.core] if self.core else []
        words += ["--batch", self.batch, "--steps", self.steps, "--seed", self.seed, "--output", "run"]
        return shlex.join(map(str, words))


def read_plan(folder: Path) -> Plan | None:
    """The plan of a search in its folder, None where there is none."""
    try:
        return Plan(**json.loads((folder / PLAN).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


class Searching(MoleculeSet):
    """Molecules of a search, in the order of their scores.

    folders: where each search has its folder; keep: puts the set down. The table has besides what `assess` gives: row
    (the number in the order asked), novel, unseen_rings, score, and a column VALUE + name for each component.
    Raises InputError for an objective or a core that is wrong.
    """

    def __init__(
        self,
        plan: Plan,
        folders: Path,
        model: Model,
        minutes: float,
        known: Known,
        keep: Callable[[MoleculeSet], None],
    ) -> None:
        self.objective = parsed(plan.objective, model)
        names = [one.name for one in self.objective.components]
        super().__init__(f"search {', '.join(names[:2])}", minutes, known)
        self.plan, self.folders, self.model, self.keep = plan, folders, model, keep
        if plan.core:
            parse_core(plan.core, model.vocabulary)
        self.core, self.command = plan.core, plan.command
        self.novel_to = f"what {model.name} was trained on"
        self.total = plan.budget
        self.warnings: list[str] = []
        self._hold(pd.DataFrame(columns=["smiles", "valid", "row", "score"]))

    @property
    def folder(self) -> Path:
        """The folder of this search."""
        return self.folders / self.key

    @property
    def drawn_for(self) -> int | None:
        """Nothing: a search asks for molecules until it has enough."""
        return None

    def after(self, earlier: MoleculeSet) -> "Searching":
        """The same, in the place of an earlier job of this search: with its key, name, note and molecules."""
        self.key, self.label, self.note = earlier.key, earlier.label, earlier.note
        self.visitors = set(earlier.visitors)
        self._hold(earlier.frame())
        return self

    def as_left(self, stored: MoleculeSet) -> "Searching":
        """The same, as it was put down: ended, or ended by the end of a server."""
        self.after(stored)
        cut_off = stored.state in ("waiting", "running")
        self.state, self.error = ("stopped", ENDED) if cut_off else (stored.state, stored.error)
        self.doing = ""
        self.over.set()
        return self

    def work(self) -> None:
        self.keep(self)  # before there is a folder: one without a set is removed
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.folder / PLAN) as file:
                json.dump(asdict(self.plan), file)
            done = optimise(
                self.model,
                self.objective,
                self.folder / RUN,
                budget=self.plan.budget,
                seed=self.plan.seed,
                core=self.plan.core or None,
                steps=self.plan.steps,
                batch=self.plan.batch,
                progress=self._searches,
                watch=self._judge,
                likelihood=False,
            )
        except OSError as error:
            raise MolgenError(f"the search cannot be kept on the disk ({error})") from None
        self.warnings = done.warnings
        self.compare(self.frame())

    def files(self) -> dict[str, bytes]:
        """What molgen has written of the search, by name; nothing before it has ended."""
        found = {name: self.folder / RUN / name for name in FILES}
        return {name: path.read_bytes() for name, path in found.items() if path.is_file()}

    def _searches(self, stage: str, done: int, total: int | None) -> None:
        self.doing, self.done, self.total = stage, done, total
        self.check()

    def _judge(self, search: Search) -> None:
        """Take over what was scored, and put it down."""
        there = set(self.frame()["row"])
        scores = search.scores().round(6)
        values = {f"{VALUE}{one.name}": search.log.values(one.name) for one in search.objective.components}
        for part in chunks([row for row in search.log.rows if row.number not in there], AT_ONCE):
            new = pd.DataFrame([assessed_sample(row.number, row.smiles) for row in part])
            places = new["row"].to_numpy() - 1
            new = new.assign(score=scores[places], **{name: column[places] for name, column in values.items()})
            new["novel"] = ~contains(self.model.known, smiles_hashes(new["smiles"]))
            new["unseen_rings"] = self._unseen(new["ring_systems"])
            self._hold(pd.concat([self.frame(), new], ignore_index=True) if there else new)
            there.update(new["row"])
            self.check()
        self.keep(self)

    def _unseen(self, texts: pd.Series) -> list[int]:
        """How many ring systems of each molecule no training molecule has; 0 where that is not known."""
        known = self.model.ring_systems
        if known is None:
            return [0] * len(texts)
        systems = [sorted(set(filter(None, text.split("; ")))) for text in texts]
        return [int((~contains(known, smiles_hashes(one))).sum()) for one in systems]

    def _hold(self, frame: pd.DataFrame) -> None:
        """Take over a table: its order, and how high the best were after each molecule."""
        self.curve = curve(frame.sort_values("row")["score"].to_numpy(float))
        self.whole = frame.sort_values(["score", "row"], ascending=[False, True], ignore_index=True)
        self.done = self.requested = len(frame)

    def best(self, count: int) -> pd.DataFrame:
        """Those with the highest scores."""
        return self.frame().dropna(subset=["score"]).head(count)
