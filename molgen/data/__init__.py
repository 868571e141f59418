"""From files of molecules to training sets."""
