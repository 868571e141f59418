"""A few real molecules to compare with."""

REAL = [
    *("CCO", "CCN", "CCC", "CCCC", "CC(C)O", "c1ccccc1", "Cc1ccccc1", "Oc1ccccc1", "c1ccncc1", "C1CCCCC1", "CC=O"),
    *("CC(=O)O", "CC(=O)Oc1ccccc1C(=O)O", "CC(=O)Nc1ccc(O)cc1", "c1ccc(-c2ccccc2)cc1", "O=C(Nc1ccccc1)c1ccccc1"),
    *("CN1CCCC1c1cccnc1", "COc1ccccc1", "CCOC(C)=O", "NCCc1ccc(O)cc1", "c1ccc2ccccc2c1", "O=C1CCCN1", "C1CCNCC1"),
]
