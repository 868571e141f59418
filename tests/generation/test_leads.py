from dataclasses import replace

import pytest
import torch
from rdkit import Chem

from molgen.errors import InputError
from molgen.generation.cores import parse_core
from molgen.generation.filters import Filter
from molgen.generation.leads import Window, parse_lead, parse_window, with_core
from molgen.molecules.encoding import GraphDecoder

LEAD = "CC(=O)Nc1ccc(O)cc1"


def test_a_lead_is_its_molecule(vocabulary):
    lead = parse_lead("Oc1ccc(NC(C)=O)cc1", vocabulary)
    assert lead.smiles == LEAD and lead.size == 11
    assert GraphDecoder(vocabulary).decode(lead.nodes, lead.pairs).smiles == LEAD
    mols = [Chem.MolFromSmiles(text) for text in (LEAD, "CC(=O)Nc1ccc(F)cc1", "CCCC")]
    same, near, far = lead.similarity(mols)
    assert same == 1 and 0.5 < near < 1 and far < 0.2
    with pytest.raises(InputError, match="the molecule 'c1ccc' cannot be used: unparsable"):
        parse_lead("c1ccc", vocabulary)


@pytest.mark.parametrize("core", ["NC=O", "[*:2]Nc1ccc([*:1])cc1", "[*:1]c1ccc([*:2])cc1", "CC(=O)N.CO"])
def test_the_core_is_found_in_the_lead(vocabulary, core):
    lead, kept = with_core(parse_lead(LEAD, vocabulary), parse_core(core, vocabulary), vocabulary)
    decoder = GraphDecoder(vocabulary)
    assert decoder.decode(lead.nodes, lead.pairs).smiles == LEAD  # only the order changes
    condition = kept.condition(lead.size, 1, torch.zeros(1, 0))
    assert bool(condition.held_by(replace(lead, noise=0.5).start(1).graph).all())


def test_what_the_lead_lacks_is_told(vocabulary):
    lead = parse_lead(LEAD, vocabulary)
    with pytest.raises(InputError, match="does not contain the core CCF"):
        with_core(lead, parse_core("CCF", vocabulary), vocabulary)
    with pytest.raises(InputError, match="carry more than the attachment points allow"):
        with_core(lead, parse_core("Nc1ccccc1[*:1]", vocabulary), vocabulary)
    ester = parse_lead("CCOC(=O)CC", vocabulary)  # the closed oxygen of one piece is bound to the other piece
    with pytest.raises(InputError, match="carry more than the attachment points allow"):
        with_core(ester, parse_core("OC(=O)[*:1].CC[*:2]", vocabulary), vocabulary)


def test_windows():
    assert parse_window("0.4:0.75") == Window(0.4, 0.75) and str(Window(0.4, 0.75)) == "0.4:0.75"
    for text in ("0.5", "0.8:0.5", "0:2", "a:b", "nan:1"):
        with pytest.raises(InputError, match="should be two numbers from 0 to 1 that go upwards"):
            parse_window(text)


def test_analogues_are_near_and_not_the_lead(vocabulary):
    kept = Filter(lead=parse_lead(LEAD, vocabulary), window=Window(0.5, 1.0))
    assert kept.rules == ["not the molecule itself", "similarity 0.5 to 1"]
    assert kept.first_failed([LEAD, "CC(=O)Nc1ccc(F)cc1", "CCCC"]).tolist() == [0, -1, 1]
