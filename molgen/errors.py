"""The errors a user can meet. The command line prints their message and exits with code 2."""


class MolgenError(Exception):
    """Base of every error that is the input's or the environment's fault, not the program's.

    parameter: name of the argument that would put it right, such as "smiles_column", where there is one. The command
    line says which of its options that is, so that messages need not.
    """

    def __init__(self, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


class InputError(MolgenError):
    """A file, option or value that the user gave cannot be used."""


class CheckpointError(MolgenError):
    """A checkpoint is missing, damaged, or was written by something else."""


class DownloadError(MolgenError):
    """A public data set could not be fetched or is not the pinned file."""


class TrainingError(MolgenError):
    """A training cannot start, resume, or go on (for example a loss that is not a number)."""
