import csv
import io

import numpy as np
from rdkit import Chem

from molgen.data import importing
from molgen.data.importing import Converted, Criteria, convert, import_molecules
from molgen.data.readers import Row
from molgen.data.rejects import Rejects
from molgen.files import spreadsheet_safe
from molgen.molecules.encoding import Decoded, GraphDecoder
from molgen.molecules.vocabulary import AtomClass, Vocabulary
from tests.data.deadly_convert import deadly
from tests.data.small_set import SMILES


def rows(texts: list[str]) -> list[Row]:
    return [Row(line, f"m{line}", text) for line, text in enumerate(texts, 1)]


def converted(texts: list[str], vocabulary: Vocabulary | None = None, keep_largest=False, max_atoms=None) -> Converted:
    return convert(rows(texts), Criteria(vocabulary, max_atoms, keep_largest))


def test_a_chunk_accounts_for_every_row():
    texts = ["CCO", "", "C.C", "[CH3]", "CC(C)(C)(C)C", "C" * 20_000, "[13CH4]", "C[C@H](F)Cl", "CCCCCC"]
    found = converted(texts, max_atoms=5)
    assert found.smiles == ["CCO", "C", "CC(F)Cl"]
    assert found.rejected == {
        1: "empty",
        2: "several fragments",
        3: "radical",
        4: "valence of C exceeded",
        5: "SMILES longer than 2000 characters",
        8: "more than 5 heavy atoms",
    }
    assert found.dropped.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert {size: which.tolist() for size, (which, _, _) in found.groups.items()} == {3: [0], 1: [1], 4: [2]}


def test_a_salt_keeps_its_largest_fragment_when_asked():
    found = converted(["[Na+].CC(=O)[O-]"], keep_largest=True)
    assert (found.smiles, found.dropped.tolist()) == (["CC(=O)[O-]"], [[0, 0, 1]])


def test_a_graph_that_decodes_to_something_else_is_rejected(monkeypatch):
    monkeypatch.setattr(GraphDecoder, "decode", lambda self, nodes, pairs: Decoded("CCC", ""))
    found = converted(["CCC", "CCO"])
    assert (found.smiles, found.rejected) == (
        ["CCC"],
        {1: "not the same molecule when built from its atoms, charges and bonds"},
    )


def test_a_given_vocabulary_bounds_the_atoms():
    found = converted(["CCO", "CCN"], Vocabulary((AtomClass("O", 0), AtomClass("C", 0))))
    assert found.rejected == {1: "atom type N outside the vocabulary"}
    assert found.groups[3][1].tolist() == [[1, 1, 0]]


def test_import_measures_the_vocabulary_and_counts_duplicates():
    rejected = []
    found = import_molecules(
        rows(["OC(C)=O", "CCO", "OCC", "C[N+](C)(C)CC(=O)[O-]", "nonsense", "CCCl", "CCF"]),
        workers=1,
        on_reject=lambda row, reason: rejected.append((row.line, row.name, reason)),
    )
    # 13 C, 4 O ... and of the classes seen once, by element and charge
    assert [str(atom) for atom in found.vocabulary.atoms] == ["C", "O", "Cl", "F", "N+", "O-"]
    assert found.smiles == ["CC(=O)O", "CCO", "C[N+](C)(C)CC(=O)[O-]", "CCCl", "CCF"]
    assert rejected == [(3, "m3", "duplicate"), (5, "m5", "unparsable")]
    assert found.rows == len(found.smiles) + sum(found.rejected.values()) == 7
    decoder = GraphDecoder(found.vocabulary)
    for positions, nodes, pairs in found.by_size.values():
        decoded = [decoder.decode(*graph).smiles for graph in zip(nodes, pairs, strict=True)]
        assert decoded == [found.smiles[position] for position in positions]


def test_a_duplicate_is_a_stereoisomer_or_a_repeat_whatever_the_chunks(monkeypatch):
    texts = ["CC(F)Cl", "C[C@H](F)Cl", "C[C@@H](F)Cl", "CC(F)Cl", "Cl[C@H](C)F", "C[13C@H](F)Cl", "O", "[OH2]"]
    for chunk in (2, 100):
        monkeypatch.setattr(importing, "CHUNK", chunk)
        found = import_molecules(rows(texts), workers=1)
        assert found.smiles == ["CC(F)Cl", "O"]
        assert found.duplicates == {"stereoisomers": 2, "exact repeats": 4}
        assert found.duplicates.total() == found.rejected["duplicate"]


def test_standardised_rows_are_counted_and_told():
    told = []
    texts = ["CC(=O)[O-].[Na+]", "CCO", "CC(=O)O", "[Na+].[Cl-]", "C[N+](C)(C)CCO.[Cl-]", "[2H]O"]
    found = import_molecules(
        rows(texts), workers=1, standardise=True, on_change=lambda row, *change: told.append((row.line, *change))
    )
    assert found.smiles == ["CC(=O)O", "CCO", "C[N+](C)(C)CCO", "O"]
    assert found.rejected == {"duplicate": 1, "no organic fragment": 1}
    assert told == [
        (1, "CC(=O)O", ("fragments removed", "charges neutralised")),
        (5, "C[N+](C)(C)CCO", ("fragments removed",)),
        (6, "O", ("isotopes removed",)),
    ]
    assert found.changed == 3
    assert found.changes == {"fragments removed": 2, "charges neutralised": 1, "isotopes removed": 1}
    assert (found.isotopes, found.fragments) == (1, 2)


def test_duplicates_can_stay():
    found = import_molecules(rows(["CCO", "OCC"]), workers=1, deduplicate=False)
    assert found.smiles == ["CCO", "CCO"]


def test_the_result_does_not_depend_on_the_chunks(monkeypatch):
    whole = import_molecules(rows(SMILES), workers=1)
    monkeypatch.setattr(importing, "CHUNK", 5)
    seen = []
    pieces = import_molecules(rows(SMILES), workers=2, progress=lambda *step: seen.append(step))
    assert seen == [("reading molecules", done, None) for done in (5, 10, 15, 20, 24)]
    assert (pieces.smiles, pieces.vocabulary) == (whole.smiles, whole.vocabulary)
    assert list(pieces.by_size) == list(whole.by_size)
    for size in whole.by_size:
        for one, other in zip(pieces.by_size[size], whole.by_size[size], strict=True):
            assert np.array_equal(one, other)


def test_a_row_that_kills_or_hangs_its_process_costs_that_row_alone(monkeypatch):
    monkeypatch.setattr(importing, "convert", deadly)
    monkeypatch.setattr(importing, "CHUNK", 4)
    monkeypatch.setattr(importing, "ROW_SECONDS", 1)
    rejected = {}
    texts = ["C", "[Po]", "CC", "CCC", "CO", "CCO", "[At]", "CN"]
    found = import_molecules(rows(texts), workers=1, on_reject=lambda row, reason: rejected.update({row.text: reason}))
    assert rejected == {"[Po]": "crashed RDKit", "[At]": "took longer than 1 s"}
    assert found.smiles == ["C", "CC", "CCC", "CO", "CCO", "CN"]


def test_more_atom_types_than_a_byte_holds_are_rejected(monkeypatch):
    monkeypatch.setattr(importing, "MAX_CLASSES", 2)
    assert converted(["CO", "CN", "O"]).rejected == {1: "more than 2 atom types"}


def test_a_rejected_record_of_an_sdf_is_shown_as_smiles():
    def block(smiles: str) -> str:
        return Chem.MolToMolBlock(Chem.MolFromSmiles(smiles, sanitize=False), kekulize=False)

    blocks = [block("CCO"), block("C[C@H](O)F"), block("OCC"), block("CCO.Cl"), block("CC(C)(C)(C)C"), "x\n"]
    file = io.StringIO()
    import_molecules(
        [Row(line, f"m{line}", text, is_block=True) for line, text in enumerate(blocks, 1)],
        workers=1,
        on_reject=Rejects(file),
    )
    file.seek(0)
    assert list(csv.reader(file))[1:] == [
        ["3", "CCO", "m3", "duplicate"],
        ["4", "CCO.Cl", "m4", "several fragments"],
        ["5", "CC(C)(C)(C)C", "m5", "valence of C exceeded"],
        ["6", "", "m6", "unparsable"],
    ]


def test_rejected_rows_are_written_safe_for_a_spreadsheet():
    file = io.StringIO()
    write = Rejects(file)
    write(Row(7, "@SUM(A1)", "=1+1\n" + "C" * 1000), "unparsable")
    write(Row(9, "a,b", "mol\nblock", is_block=True), "empty")
    file.seek(0)
    head, first, second = csv.reader(file)
    assert head == ["line", "text", "name", "reason"]
    assert first[0] == "7" and first[1].startswith("'=1+1 CCC") and len(first[1]) == 201
    assert first[2:] == ["'@SUM(A1)", "unparsable"]
    assert second == ["9", "", "a,b", "empty"]
    assert [spreadsheet_safe(text) for text in ("CCO", "-1", "", "\tx")] == ["CCO", "'-1", "", "'\tx"]
