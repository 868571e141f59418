"""molgen app: the app in the browser."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from pathlib import Path

import click

from molgen.errors import InputError

# Threads come and go with the drawings of pages; with a heap for each, as is usual, free memory lies about in all.
MEMORY = {"MALLOC_ARENA_MAX": "2", "ARROW_DEFAULT_MEMORY_POOL": "system"}


@click.command("app", short_help="Open the app: make, look at, filter and judge molecules in the browser.")
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True, help="Port to listen on.")
@click.option("--headless", is_flag=True, help="Open no browser: for a server.")
@click.option(
    "--address",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. The default is reached from this machine only; anyone who reaches another one can use "
    "the app, there is no password.",
)
@click.option(
    "--max-molecules",
    type=click.IntRange(min=1, max=1_000_000),
    default=10_000,
    show_default=True,
    help="Most molecules that a visitor can ask for at once; uploads may have five times as many rows.",
)
@click.option(
    "--max-minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=30,
    show_default=True,
    help="Longest time that one piece of work may take.",
)
@click.option(
    "--reference",
    help="Known molecules that others are compared with until a visitor chooses: qm9, moses, chembl, or a file. "
    "If omitted, what the model of a set was trained on, and qm9 for molecules of other origin.",
)
@click.option("--model", help="Folder of a model of your own, to choose beside those that come with molgen.")
def command(
    port: int,
    headless: bool,
    address: str,
    max_molecules: int,
    max_minutes: float,
    reference: str | None,
    model: str | None,
) -> None:
    """Open the app in the browser.

    \b
    molgen app
    molgen app --port 8600 --headless --max-molecules 2000

    Make molecules, look at them in 2D and 3D, filter, compare, judge your own, download them. Stop it with Ctrl-C.
    """
    from molgen.data.public import PUBLIC
    from molgen.files import shipped_folder

    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise InputError(f"--address should be an IP address such as 127.0.0.1 or 0.0.0.0, got {address!r}") from None
    folder = shipped_folder("app")
    limits = {"MOLGEN_APP_MAX_MOLECULES": str(max_molecules), "MOLGEN_APP_MAX_MINUTES": str(max_minutes)}
    if reference is not None:
        limits["MOLGEN_APP_REFERENCE"] = reference
    if reference is not None and reference not in PUBLIC:
        if not Path(reference).exists():
            raise InputError(f"no reference {reference!r}; give {', '.join(PUBLIC)} or a file of molecules")
        limits["MOLGEN_APP_REFERENCE"] = str(Path(reference).resolve())
    if model is not None:
        from molgen.models.checkpoints import load_checkpoint

        load_checkpoint(model)  # tells now what is wrong with it
        limits["MOLGEN_APP_MODEL"] = str(Path(model).resolve())
    words = [sys.executable, "serve.py", "run", "main.py", f"--server.port={port}", "--browser.gatherUsageStats=false"]
    words.append("--server.showEmailPrompt=false")  # it would wait for an answer, and end where nobody can give one
    words += [f"--server.headless={str(headless).lower()}", f"--server.address={address}"]
    if not ipaddress.ip_address(address).is_loopback:
        words.append("--server.allowedHosts=")  # it is not known by what name others reach it
    environment = MEMORY | os.environ | limits
    # Streamlit reads the settings that lie beside main.py when it is started there
    if os.name == "posix":  # the server takes the place of this process: whatever ends one ends the other
        sys.stdout.flush()
        os.chdir(folder)
        os.execve(sys.executable, words, environment)
    try:
        sys.exit(subprocess.run(words, cwd=folder, env=environment, check=False).returncode)
    except KeyboardInterrupt:
        sys.exit(130)
