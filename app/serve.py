"""Streamlit, as `molgen app` starts it: it asks no other machine what address this one has."""

from importlib import import_module
from threading import Thread

NEEDED = ("molgen.optimisation.run", "molgen.evaluation.report")  # with torch and RDKit; nothing of Streamlit


def main() -> None:
    """Run Streamlit with the words of the command line."""
    # what the first page needs takes seconds to import: it begins before there is a visitor
    Thread(target=lambda: [import_module(name) for name in NEEDED], daemon=True).start()
    from streamlit import net_util
    from streamlit.web.cli import main as streamlit

    # Streamlit asks for it on the internet when a page of another origin connects; no setting turns that off
    net_util.get_external_ip = lambda: None
    streamlit(prog_name="streamlit")


if __name__ == "__main__":
    main()
