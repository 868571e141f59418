"""molgen models: the trained models at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from molgen.cli.output import say

if TYPE_CHECKING:
    from molgen.models.checkpoints import Model

COLUMNS = ("name", "data", "backend", "parameters", "valid", "unique", "FCD")


@click.command("models", short_help="List the models that can generate, with their figures.")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the models that come with molgen, or show the card of one: NAME or a checkpoint folder.

    The card tells what the model was trained on, its licence, its measured quality and its limits, its samplers, what
    each effort takes and brings, and what it can be told: a formula, atoms, a core to keep, and values of properties,
    with the range that 90 % of its training molecules lie in. Any of the names, or the folder of a model of your own,
    goes after `molgen generate --model`.
    """
    from molgen.models.checkpoints import card_text, list_models, load_checkpoint

    if name is not None:
        chosen = load_checkpoint(name)
        say(card_text(chosen.card).rstrip())
        say("\n".join(_told(chosen)))
        return
    rows = []
    for model in list_models():
        card = load_checkpoint(model).card
        rows.append((model, _data(card), str(card.get("backend", "-")), _number(card), *_figures(card)))
    if not rows:
        say("No models come with this installation; molgen train makes one.", err=True)
        return
    lines = [COLUMNS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    for line in lines:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _told(model: Model) -> list[str]:
    """The samplers and efforts of a model and what it can be told, as sections of its card."""
    from molgen.models.effort import efforts

    backend = model.backend
    lines = ["", "## Samplers", ""]
    lines += [": ".join(filter(None, (name, backend.sampler_help.get(name)))) for name in backend.samplers]
    if "effort" not in model.card:
        lines += ["", "## Effort", ""]
        lines += [f"{name}: {effort.steps} evaluations, not measured" for name, effort in efforts(model).items()]
    lines += ["", "## Can be told", "", f"core: {'yes' if backend.config.known_parts else 'no'}"]
    lines += [f"{kind}: {'yes' if kind in backend.requests else 'no'}" for kind in ("formula", "atoms")]
    for target in model.statistics.targets:
        lines.append(f"{target.name}: {target.low:.4g} to {target.high:.4g}, on average {target.mean:.4g}")
    return lines if model.statistics.targets else [*lines, "properties: no"]


def _data(card: dict[str, object]) -> str:
    data = card.get("data", "-")
    return str(data.get("set", "-") if isinstance(data, dict) else data)


def _number(card: dict[str, object]) -> str:
    count = card.get("parameters")
    return f"{count:,}" if isinstance(count, int) else "-"


def _figures(card: dict[str, object]) -> list[str]:
    """Valid, unique and FCD as the card words them."""
    figures = card.get("figures")
    figures = {str(key).lower(): value for key, value in figures.items()} if isinstance(figures, dict) else {}
    return [str(figures.get(key.lower(), "-")) for key in COLUMNS[-3:]]
