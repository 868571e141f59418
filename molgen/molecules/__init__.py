"""What a molecule is: graph, vocabulary, SMILES and back, properties, pictures."""
