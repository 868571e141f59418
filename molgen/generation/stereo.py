"""Stereoisomers of the molecules of a run: models draw molecules flat, and a file for docking needs them in space."""

import json
from collections.abc import Iterable, Iterator
from typing import TypedDict

import pandas as pd
from rdkit import Chem

from molgen.molecules.stereo import Stereoisomer, stereoisomers

COLUMNS = ("flat_smiles", "stereoisomer", "stereoisomers")  # of an output; see `Spread`


class Told(TypedDict):
    """molecules: those taken; stereoisomers: theirs, the rows of the output; cut: molecules that may have more than
    were asked for; none: molecules of which none can be arranged in space."""

    molecules: int
    stereoisomers: int
    cut: int
    none: int


def stereo_texts(mols: Iterable[Chem.Mol | None], most: int, blocks: bool) -> list[str]:
    """What `Spread` reads, for each molecule that is not None, else "": it is made with the samples and kept with
    them."""
    found = (None if mol is None else stereoisomers(mol, most, blocks=blocks) for mol in mols)
    return ["" if each is None else json.dumps([each.possible, each.found]) for each in found]


class Spread:
    """Makes a row of each stereoisomer of rows that have a column "stereo".

    smiles gets the stereo, flat_smiles has none; stereoisomer counts from 1 within a molecule; stereoisomers is how
    many its centres and double bonds would allow. "block" is a column for a writer, where blocks were made.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.told: Told = {"molecules": 0, "stereoisomers": 0, "cut": 0, "none": 0}

    def __call__(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of the stereoisomers, in order, in the place of their molecules'."""
        spread = rows.loc[rows.index.repeat([len(self._found(text)[1]) for text in rows["stereo"]])]
        isomers = list(self._isomers(rows["stereo"]))
        spread = spread.assign(
            flat_smiles=spread["smiles"],
            smiles=pd.Series([isomer.smiles for isomer, _, _ in isomers], spread.index, dtype="str"),
            stereoisomer=pd.Series([number for _, number, _ in isomers], spread.index, dtype="int64"),
            stereoisomers=pd.Series([possible for _, _, possible in isomers], spread.index, dtype="int64"),
        )
        if any(isomer.block for isomer, _, _ in isomers):
            spread["block"] = [isomer.block for isomer, _, _ in isomers]
        return spread.drop(columns="stereo")

    @staticmethod
    def _found(text: str) -> tuple[int, list[Stereoisomer]]:
        possible, found = json.loads(text)
        return possible, [Stereoisomer(*each) for each in found]

    def _isomers(self, texts: Iterable[str]) -> Iterator[tuple[Stereoisomer, int, int]]:
        """Each with its number and how many are possible; counts them."""
        for text in texts:
            possible, found = self._found(text)
            self.told["molecules"] += 1
            self.told["stereoisomers"] += len(found)
            self.told["cut"] += possible > len(found) == self.most
            self.told["none"] += not found
            for number, isomer in enumerate(found, start=1):
                yield isomer, number, possible
