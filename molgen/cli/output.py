"""What the command line prints: all of it goes through `say`, so that no name or text of a file steers the terminal."""

import re

import click

from molgen.cli.log import current_log
from molgen.training.launch import speaks

# Control characters (C0 but tab and new line, DEL, C1), line and paragraph separators, what changes the direction of
# writing, and halves of characters, as which names that are not UTF-8 arrive.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def safe(text: object) -> str:
    """Text that a terminal shows and does not obey: unsafe characters are written as escapes, such as \\x1b."""
    return UNSAFE.sub(lambda found: ascii(found[0])[1:-1], str(text))


def say(text: object, *, err: bool = False) -> None:
    """Print text and a new line on standard output, or on standard error; the command's log has it too.

    Of several processes that torchrun has started the first one speaks for all.
    """
    if not speaks():
        return
    click.echo(safe(text), err=err)
    log = current_log()
    if log is not None:
        log.write("message", text=str(text), stream="stderr" if err else "stdout")
