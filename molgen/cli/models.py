"""molgen models: the trained models at hand."""

import click

COLUMNS = ("name", "data", "backend", "parameters", "valid", "unique", "FCD")


@click.command("models", short_help="List the models that can generate, with their figures.")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the models that come with molgen, or show the card of one: NAME or a checkpoint folder.

    The card tells what the model was trained on, its licence, its measured quality and its limits. Any of the names,
    or the folder of a model of your own, goes after `molgen generate --model`.
    """
    from molgen.checkpoints import card_text, list_models, load_checkpoint

    if name is not None:
        click.echo(card_text(load_checkpoint(name).card).rstrip())
        return
    rows = []
    for model in list_models():
        card = load_checkpoint(model).card
        rows.append((model, _data(card), str(card.get("backend", "-")), _number(card), *_figures(card)))
    if not rows:
        click.echo("No models come with this installation; molgen train makes one.", err=True)
        return
    lines = [COLUMNS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _data(card: dict) -> str:
    data = card.get("data", "-")
    return str(data.get("set", "-") if isinstance(data, dict) else data)


def _number(card: dict) -> str:
    count = card.get("parameters")
    return f"{count:,}" if isinstance(count, int) else "-"


def _figures(card: dict) -> list[str]:
    """Valid, unique and FCD as the card words them."""
    figures = card.get("figures")
    figures = {str(key).lower(): value for key, value in figures.items()} if isinstance(figures, dict) else {}
    return [str(figures.get(key.lower(), "-")) for key in COLUMNS[-3:]]
