"""The command line: parse, call, print. Each command is a file of this folder and imports what it needs when run."""

import importlib
import io
import sys
import time
from typing import NoReturn

import click

import molgen
from molgen.cli.log import errors_logged
from molgen.cli.output import say
from molgen.errors import MolgenError
from molgen.libraries import calm_threads, keep_few_shapes
from molgen.training.launch import speaks

GRACE = 3.0  # seconds

COMMANDS = {
    "app": "Open the app: make, look at, filter and judge molecules in the browser.",
    "generate": "Make new molecules with a trained model.",
    "score": "Judge a file of molecules: validity, uniqueness, novelty, FCD.",
    "report": "Write a report: tables, charts, alerts, a screen and its picks.",
    "optimize": "Search for molecules with a high score under an objective.",
    "train": "Train a model on a data set or on your own molecules.",
    "data": "Fetch, check and prepare a data set.",
    "embed": "Turn molecules into vectors, with a model that has a latent space.",
    "interpolate": "List molecules on the way from one to another.",
    "models": "List the models that can generate, with their figures.",
}


class Molgen(click.Group):
    """A group that imports a command only when it is used, so that `molgen --help` answers at once."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"molgen.cli.{name}").command
        return command

    def invoke(self, context: click.Context) -> object:
        """Run the command; an error that one of its options would put right is raised again with that option."""
        try:
            with errors_logged(context):
                return super().invoke(context)
        except MolgenError as error:
            command = self.get_command(context, context.invoked_subcommand or "")
            for option in command.params if command is not None else ():
                if option.name == error.parameter:
                    raise type(error)(f"{error} ({option.opts[0]})") from None
            raise

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Molgen, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(molgen.__version__, prog_name="molgen")
def cli() -> None:
    """Generate new molecules with graph diffusion models, and judge them.

    Try: molgen generate --model qm9-digress --num 100 --output molecules.csv
    """


def main() -> None:
    """Entry point: our errors become one line on standard error and exit code 2."""
    calm_threads()
    if sys.argv[1:2] != ["train"]:
        keep_few_shapes()
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        say(shown.getvalue().rstrip(), err=True)
        _fail(2)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (MolgenError, PermissionError, IsADirectoryError) as error:
        say(f"Error: {error}", err=True)
        _fail(2)
    except OSError as error:  # a full disk, for example
        say(f"Error: {error}", err=True)
        _fail(1)
    except (KeyboardInterrupt, click.Abort):
        say("\nStopped.", err=True)
        sys.exit(130)


def _fail(code: int) -> NoReturn:
    """End with an exit code. torchrun ends all processes when one has ended: the one that speaks goes first."""
    if not speaks():
        time.sleep(GRACE)
    sys.exit(code)
