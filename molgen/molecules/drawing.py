"""Structures as pictures."""

from collections.abc import Sequence

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdCoordGen, rdDepictor
from rdkit.Chem.Draw import MolsToGridImage, rdMolDraw2D

from molgen.molecules.parsing import parse_smiles

PADDING = 0.08
LARGEST_FONT = 16  # of a picture 400 pixels wide or less
DARK_HIGHLIGHT = (0.5, 0.2, 0.25)
CROWDED = 0.25  # bond lengths from an atom to another one or to a bond, below which a layout hides something


def to_svg(
    smiles: str,
    *,
    width: int,
    height: int,
    highlight_atoms: Sequence[int] = (),
    aligned_on: str | None = None,
    dark: bool = False,
) -> str:
    """The 2D structure as an SVG element of width x height pixels, on white.

    highlight_atoms: indices of atoms of the SMILES; aligned_on: SMILES of a part that should lie as it lies alone;
    dark: for a dark page, in light colours and without a background.
    Raises molgen.molecules.parsing.Rejected for a SMILES that is no molecule.
    """
    mol = laid_out(smiles, aligned_on)
    return _svg(mol, width, height, highlight_atoms, dark=dark)


def placed_svg(smiles: str, *, width: int, height: int, dark: bool = False) -> tuple[str, list[tuple[float, float]]]:
    """The 2D structure as `to_svg` draws it, and where its atoms stand on it, in pixels from the upper left.

    Raises Rejected for what is no molecule.
    """
    drawing, text = _drawn(laid_out(smiles), width, height, (), dark=dark)
    points = [drawing.GetDrawCoords(atom) for atom in range(parse_smiles(smiles).GetNumAtoms())]
    return text, [(point.x, point.y) for point in points]


def to_png(smiles: str, *, width: int, height: int) -> bytes:
    """The 2D structure as a PNG of width x height pixels, on white. Raises Rejected for what is no molecule."""
    drawing = rdMolDraw2D.MolDraw2DCairo(width, height)
    drawing.drawOptions().padding = PADDING  # type: ignore[assignment]
    rdMolDraw2D.PrepareAndDrawMolecule(drawing, laid_out(smiles))
    drawing.FinishDrawing()
    return bytes(drawing.GetDrawingText())


def sheet_png(smiles: Sequence[str], legends: Sequence[str], *, columns: int = 4, side: int = 300) -> bytes:
    """Structures in rows on one PNG, each with its legend. Raises Rejected for a SMILES that is no molecule."""
    mols = [laid_out(text) for text in smiles]
    made = MolsToGridImage(  # type: ignore[no-untyped-call]
        mols, columns, (side, side), legends=list(legends), returnPNG=True, useSVG=False
    )
    return bytes(made)


def graph_svg(mol: Chem.Mol, places: np.ndarray, *, width: int, height: int) -> str:
    """Atoms and bonds as they are, without hydrogens or a check of valences, atom k at places[k], float [n, 2].

    For graphs that are not molecules yet, as `molgen.molecules.encoding.GraphDecoder.to_mol` makes them.
    """
    mol = Chem.Mol(mol)
    for index in range(mol.GetNumAtoms()):
        mol.GetAtomWithIdx(index).SetNoImplicit(True)
    mol.UpdatePropertyCache(strict=False)
    mol.RemoveAllConformers()
    conformer = Chem.Conformer(mol.GetNumAtoms())
    for index, (x, y) in enumerate(places.tolist()):
        conformer.SetAtomPosition(index, (x, y, 0.0))
    mol.AddConformer(conformer, assignId=True)
    return _svg(mol, width, height, (), prepare=False)


def block_svg(block: str, *, width: int, height: int) -> str:
    """The atoms of a mol block at their places in its x-y plane: a 3D structure without a 3D viewer."""
    mol = Chem.MolFromMolBlock(block, removeHs=False)
    return graph_svg(mol, mol.GetConformer().GetPositions()[:, :2], width=width, height=height)


def places_of(mol: Chem.Mol) -> np.ndarray:
    """Places for the atoms of any graph, float [n, 2]: those of its 2D structure."""
    mol = Chem.Mol(mol)
    mol.UpdatePropertyCache(strict=False)
    Chem.FastFindRings(mol)
    rdDepictor.SetPreferCoordGen(False)
    rdDepictor.Compute2DCoords(mol)
    positions: np.ndarray = mol.GetConformer().GetPositions()
    return positions[:, :2]


def clearance(mol: Chem.Mol) -> float:
    """The smallest distance in a 2D layout from an atom to another one, or to a bond that is not its own, in bond
    lengths; infinite where there are fewer than two atoms."""
    places = mol.GetConformer().GetPositions()[:, :2]
    ends = np.array([(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()]).reshape(-1, 2)
    if not len(ends):
        return np.inf
    start, along = places[ends[:, 0]], places[ends[:, 1]] - places[ends[:, 0]]
    squares = (along**2).sum(1)
    # the nearest point of each bond to each atom
    share = ((places[:, None] - start) * along).sum(2) / np.maximum(squares, 1e-12)
    nearest = start + share.clip(0, 1)[:, :, None] * along
    distances = np.linalg.norm(places[:, None] - nearest, axis=2)
    own = (np.arange(len(places))[:, None, None] == ends).any(2)
    # the other end of an own bond is no further away than that bond is long
    smallest = min(distances[~own].min(initial=np.inf), np.sqrt(squares.min()))
    return float(smallest / np.median(np.sqrt(squares)))


def laid_out(smiles: str, aligned_on: str | None = None) -> Chem.Mol:
    """The molecule with its 2D layout; see `to_svg`. Raises Rejected for a SMILES that is no molecule."""
    mol = parse_smiles(smiles)
    template = parse_smiles(aligned_on) if aligned_on else None
    rdDepictor.SetPreferCoordGen(False)
    if template is not None and mol.HasSubstructMatch(template):
        rdDepictor.Compute2DCoords(template)
        rdDepictor.GenerateDepictionMatching2DStructure(mol, template)
    else:
        rdDepictor.Compute2DCoords(mol)
        rdDepictor.StraightenDepiction(mol)
    before = clearance(mol)
    if before < CROWDED:  # a cage, often; a layout of its own is worth more than one that is aligned
        other = Chem.Mol(mol)
        rdCoordGen.AddCoords(other)
        if clearance(other) > before:
            return other
    return mol


def _svg(
    mol: Chem.Mol, width: int, height: int, highlight_atoms: Sequence[int], prepare: bool = True, dark: bool = False
) -> str:
    return _drawn(mol, width, height, highlight_atoms, prepare, dark)[1]


def _drawn(
    mol: Chem.Mol, width: int, height: int, highlight_atoms: Sequence[int], prepare: bool = True, dark: bool = False
) -> tuple[rdMolDraw2D.MolDraw2DSVG, str]:
    drawing = rdMolDraw2D.MolDraw2DSVG(width, height)
    options = drawing.drawOptions()
    if dark:
        rdMolDraw2D.SetDarkMode(options)
        options.clearBackground = False  # type: ignore[assignment]
        options.setHighlightColour(DARK_HIGHLIGHT)
    options.padding = PADDING  # type: ignore[assignment]
    options.maxFontSize = max(LARGEST_FONT, width // 25)  # type: ignore[assignment]
    if prepare:
        rdMolDraw2D.PrepareAndDrawMolecule(drawing, Chem.Mol(mol), highlightAtoms=list(highlight_atoms))
    else:
        options.prepareMolsBeforeDrawing = False  # type: ignore[assignment]
        options.explicitMethyl = True  # type: ignore[assignment]
        drawing.DrawMolecule(mol)
    drawing.FinishDrawing()
    text = drawing.GetDrawingText()
    return drawing, text[text.index("<svg") :]
