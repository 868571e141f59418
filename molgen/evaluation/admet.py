"""ADMET endpoints of molecules as ADMET-AI predicts them (Swanson et al., Bioinformatics 2024).

Its networks (Chemprop, five for the classes and five for the numbers) were trained on public data sets of the
Therapeutics Data Commons. A prediction is no measurement.
"""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from threading import Lock
from typing import NamedTuple
from warnings import catch_warnings, simplefilter

import numpy as np
import torch
from rdkit import Chem

from molgen.errors import InputError
from molgen.evaluation.extras import load
from molgen.parallel import chunks

BATCH = 32  # molecules predicted at once
RECENT = 10_000  # molecules whose predictions are kept
DECIMALS = 4  # that are shown and scored
PROBABILITY = "probability"


class Endpoint(NamedTuple):
    """What is predicted, in a few words, and its unit."""

    meaning: str
    unit: str = PROBABILITY


ENDPOINTS = {
    "HIA_Hou": Endpoint("absorbed in the human intestine"),
    "Bioavailability_Ma": Endpoint("orally bioavailable, 20 % or more"),
    "Solubility_AqSolDB": Endpoint("solubility in water", "log(mol/L)"),
    "Lipophilicity_AstraZeneca": Endpoint("lipophilicity, log D at pH 7.4", "log ratio"),
    "HydrationFreeEnergy_FreeSolv": Endpoint("free energy of hydration", "kcal/mol"),
    "Caco2_Wang": Endpoint("permeability of Caco-2 cells", "log(cm/s)"),
    "PAMPA_NCATS": Endpoint("permeates an artificial membrane (PAMPA)"),
    "Pgp_Broccatelli": Endpoint("inhibits P-glycoprotein"),
    "BBB_Martins": Endpoint("crosses the blood-brain barrier"),
    "PPBR_AZ": Endpoint("bound to plasma proteins", "%"),
    "VDss_Lombardo": Endpoint("volume of distribution at steady state", "L/kg"),
    "Half_Life_Obach": Endpoint("half-life", "h"),
    "Clearance_Hepatocyte_AZ": Endpoint("clearance by hepatocytes", "µL/min/10^6 cells"),
    "Clearance_Microsome_AZ": Endpoint("clearance by liver microsomes", "µL/min/mg"),
    "CYP1A2_Veith": Endpoint("inhibits CYP1A2"),
    "CYP2C19_Veith": Endpoint("inhibits CYP2C19"),
    "CYP2C9_Veith": Endpoint("inhibits CYP2C9"),
    "CYP2D6_Veith": Endpoint("inhibits CYP2D6"),
    "CYP3A4_Veith": Endpoint("inhibits CYP3A4"),
    "CYP2C9_Substrate_CarbonMangels": Endpoint("substrate of CYP2C9"),
    "CYP2D6_Substrate_CarbonMangels": Endpoint("substrate of CYP2D6"),
    "CYP3A4_Substrate_CarbonMangels": Endpoint("substrate of CYP3A4"),
    "hERG": Endpoint("blocks the hERG channel"),
    "ClinTox": Endpoint("toxic in clinical trials"),
    "AMES": Endpoint("mutagenic (Ames test)"),
    "DILI": Endpoint("injures the liver"),
    "Carcinogens_Lagunin": Endpoint("carcinogenic in rodents"),
    "LD50_Zhu": Endpoint("acute toxicity in rats (LD50)", "log(1/(mol/kg))"),
    "Skin_Reaction": Endpoint("sensitises the skin"),
    "NR-AR": Endpoint("active at the androgen receptor"),
    "NR-AR-LBD": Endpoint("active at the androgen receptor, ligand-binding domain"),
    "NR-AhR": Endpoint("active at the aryl hydrocarbon receptor"),
    "NR-Aromatase": Endpoint("inhibits aromatase"),
    "NR-ER": Endpoint("active at the oestrogen receptor"),
    "NR-ER-LBD": Endpoint("active at the oestrogen receptor, ligand-binding domain"),
    "NR-PPAR-gamma": Endpoint("active at PPAR gamma"),
    "SR-ARE": Endpoint("oxidative stress (antioxidant response element)"),
    "SR-ATAD5": Endpoint("DNA damage (ATAD5)"),
    "SR-HSE": Endpoint("heat shock response"),
    "SR-MMP": Endpoint("lowers the mitochondrial membrane potential"),
    "SR-p53": Endpoint("activates p53"),
}
COLUMNS = tuple(f"admet_{name}" for name in ENDPOINTS)  # of tables


class Predictor:
    """The networks of ADMET-AI, on the CPU. drugs: predictions for approved drugs, [drugs, endpoints], each sorted.

    They are called here and not by the package, whose progress bars, messages and trainer stay out. Raises InputError
    where the package is not installed, does not run, or predicts other endpoints.
    """

    def __init__(self) -> None:
        with catch_warnings():
            simplefilter("ignore")
            package = load("admet")
            made = package.ADMETModel(include_physchem=False, num_workers=0)
            self._batch = import_module("chemprop.data").BatchMolGraph
            self._featurise = import_module("chemprop.featurizers").SimpleMoleculeMolGraphFeaturizer()
        tasks = [task for ensemble in made.task_lists for task in ensemble]
        if sorted(tasks) != sorted(ENDPOINTS):
            raise InputError(f"ADMET-AI {package.__version__} predicts other endpoints than version 2.0; install that")
        self.version = str(package.__version__)
        self._order = [tasks.index(name) for name in ENDPOINTS]
        # in double precision, so that a prediction does not depend on the others in its batch
        self._ensembles = [[network.eval().double() for network in networks] for networks in made.model_lists]
        self.drugs = np.sort(made.drugbank[list(ENDPOINTS)].to_numpy(float), axis=0)
        try:
            self._run(["C"])
        except Exception as error:  # of another version of what it is built on
            raise InputError(f"ADMET-AI {self.version} does not run here: {error}") from None
        self._recent: dict[str, np.ndarray] = {}
        self._lock = Lock()

    def predict(self, smiles: Sequence[str]) -> np.ndarray:
        """ENDPOINTS of molecules, float64 [k, endpoints]; NaN where the networks fail. Stereo in the SMILES counts."""
        with self._lock:
            new = [text for text in dict.fromkeys(smiles) if text not in self._recent]
            for part in chunks(new, BATCH):
                self._recent.update(zip(part, self._predicted(part), strict=True))
            found = [self._recent[text] for text in smiles]
            for text in list(self._recent)[:-RECENT]:
                del self._recent[text]
        return np.stack(found) if found else np.zeros((0, len(ENDPOINTS)))

    def _predicted(self, smiles: list[str]) -> np.ndarray:
        """Of one batch; what the networks cannot take costs that molecule alone."""
        try:
            return self._run(smiles)
        except Exception:
            if len(smiles) == 1:
                return np.full((1, len(ENDPOINTS)), np.nan)
            return np.concatenate([self._predicted([text]) for text in smiles])

    @torch.inference_mode()
    def _run(self, smiles: list[str]) -> np.ndarray:
        graphs = self._batch([self._featurise(Chem.MolFromSmiles(text)) for text in smiles])
        graphs.V, graphs.E = graphs.V.double(), graphs.E.double()
        means = [torch.stack([network(graphs) for network in each]).mean(0) for each in self._ensembles]
        values = torch.cat(means, dim=1).numpy()[:, self._order]
        return np.where(np.isfinite(values), values, np.nan)


@cache
def predictor() -> Predictor:
    """The one of this process, loaded when it is first asked for, which takes some seconds. Raises as `Predictor`."""
    return Predictor()


class Predicted(NamedTuple):
    """An endpoint over the molecules that have a prediction; mean and percentile are None of none.

    percentile: the median of theirs among approved drugs, 0 to 100.
    """

    mean: float | None
    percentile: float | None
    molecules: int


class AdmetTally:
    """Predictions of many molecules, counted; memory stays flat. drugs: as `Predictor` has them."""

    def __init__(self, drugs: np.ndarray) -> None:
        self.drugs = drugs
        self.sums = np.zeros(drugs.shape[1])
        # of each endpoint, how many molecules have the percentile rank 50 k / drugs
        self.ranks = np.zeros((drugs.shape[1], 2 * len(drugs) + 1), np.int64)

    def add(self, values: np.ndarray) -> None:
        """Count predictions, float64 [k, endpoints]."""
        for place, column in enumerate(values.T):
            there = column[np.isfinite(column)]
            below = np.searchsorted(self.drugs[:, place], there, side="left")
            up_to = np.searchsorted(self.drugs[:, place], there, side="right")
            # as percentileofscore of scipy has it
            ranks = below + up_to + (below < up_to)
            self.ranks[place] += np.bincount(ranks, minlength=self.ranks.shape[1])
            self.sums[place] += there.sum()

    def endpoints(self) -> dict[str, Predicted]:
        """What has been counted of each of ENDPOINTS; means to six decimals, whatever the parts it came in."""
        found = {}
        for name, total, ranks in zip(ENDPOINTS, self.sums, self.ranks, strict=True):
            count = int(ranks.sum())
            if not count:
                found[name] = Predicted(None, None, 0)
                continue
            middle = np.searchsorted(ranks.cumsum(), [(count - 1) // 2, count // 2], side="right").mean()
            found[name] = Predicted(round(total / count, 6), round(middle * 50 / len(self.drugs), 2), count)
        return found
