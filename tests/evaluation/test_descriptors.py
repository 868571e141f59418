"""What is taken of molecules for the metrics of sets: known molecules and the filters of MOSES."""

import pytest
from rdkit import Chem

from molgen.evaluation.descriptors import passes_moses_filters


@pytest.mark.parametrize(
    ("smiles", "passes"),
    [
        ("CC(=O)Nc1ccc(O)cc1", True),
        ("C1CCCCCCC1", False),  # a ring of eight
        ("C[N+](C)(C)C", False),  # a charge
        ("CP(C)C", False),  # phosphorus
        ("c1ccccc1N=Nc1ccccc1", False),  # an alert
    ],
)
def test_the_filters_of_moses(smiles, passes):
    assert passes_moses_filters(Chem.MolFromSmiles(smiles)) == passes
