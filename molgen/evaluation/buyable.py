"""Can a molecule be bought? What molbloom says (Medina and White, Journal of Cheminformatics 2023).

Its Bloom filter of 9,227,726 in-stock molecules of ZINC20 comes in the package. It also says yes to 7 % of other
molecules. Stereo counts: with and without it a molecule is another entry.
"""

from molgen.evaluation.extras import load

CATALOG = "zinc-instock-mini"  # the only one that is not downloaded
MEANING = "in stock by molbloom (ZINC20, 9.2 million molecules; it also says yes to 7 % of all others)"


def buyable(smiles: str) -> bool:
    """Whether a SMILES is probably in stock, or among some 350 common reagents.

    Raises InputError where molbloom is not installed.
    """
    return bool(load("buyable").buy(smiles, catalog=CATALOG, canonicalize=True))
