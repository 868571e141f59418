"""Structures as pictures."""

from collections.abc import Sequence

from rdkit import Chem
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from molgen.chemistry import parse_smiles


def to_svg(
    smiles: str, *, width: int, height: int, highlight_atoms: Sequence[int] = (), aligned_on: str | None = None
) -> str:
    """The 2D structure as an SVG element of width x height pixels, on white.

    highlight_atoms: indices of atoms of the SMILES; aligned_on: SMILES of a part that should lie as it lies alone.
    Raises molgen.chemistry.Rejected for a SMILES that is no molecule.
    """
    mol = parse_smiles(smiles)
    template = parse_smiles(aligned_on) if aligned_on else None
    rdDepictor.SetPreferCoordGen(False)
    if template is not None and mol.HasSubstructMatch(template):
        rdDepictor.Compute2DCoords(template)
        rdDepictor.GenerateDepictionMatching2DStructure(mol, template)
    else:
        rdDepictor.Compute2DCoords(mol)
        rdDepictor.StraightenDepiction(mol)
    drawing = rdMolDraw2D.MolDraw2DSVG(width, height)
    options = drawing.drawOptions()
    options.padding = 0.08  # type: ignore[assignment]
    options.maxFontSize = 16  # type: ignore[assignment]
    rdMolDraw2D.PrepareAndDrawMolecule(drawing, Chem.Mol(mol), highlightAtoms=list(highlight_atoms))
    drawing.FinishDrawing()
    text = drawing.GetDrawingText()
    return text[text.index("<svg") :]
