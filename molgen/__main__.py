"""`python -m molgen` is `molgen`; `torchrun -m molgen` starts it several times."""

from molgen.cli import main

if __name__ == "__main__":  # worker processes import this file, too
    main()
