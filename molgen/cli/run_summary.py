"""What `molgen generate` tells of a run when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from molgen.cli.output import say

if TYPE_CHECKING:
    from molgen.evaluation.verdicts import Summary
    from molgen.generation.runs import Record
    from molgen.generation.settings import Settings


def tell(summary: Summary, record: Record, settings: Settings, output: str) -> None:
    """Print the counts, what was obtained and kept, and what was written where; on standard error, if that went to
    standard output."""
    to_stdout = output == "-"
    say(_table(summary), err=to_stdout)
    say(f"Novel: not among the molecules that {settings.model} was trained on.", err=to_stdout)
    for name, row in record.get("obtained", {}).items():
        asked = row["asked"]
        inside = f"{row['inside']:.1%} inside, " if "inside" in row else ""
        say(
            f"{name}: {asked if isinstance(asked, str) else f'{asked:g}'} asked for, {row['mean']:.4g} obtained on "
            f"average, spread {row['spread']:.3g}, {inside}mean error {row['error']:.3g}",
            err=to_stdout,
        )
    if "nll_percentile" in record:
        say(f"nll_percentile: {record['nll_percentile']}", err=to_stdout)
    for kept in record.get("filter", []):
        share = f"  {kept['left'] / summary.unique:.1%}" if summary.unique else ""
        say(f"filter: {kept['left']:,} of {summary.unique:,} unique left{share}  {kept['rule']}", err=to_stdout)
    if summary.reasons:
        failures = ", ".join(f"{count:,} {reason}" for reason, count in summary.reasons.items())
        say(f"Not valid: {failures}", err=to_stdout)
    molecules, stereo = record["rows"], record.get("stereoisomers")
    written = f"{molecules:,} molecules"
    if stereo is not None:
        molecules = stereo["molecules"]
        written = f"{record['rows']:,} stereoisomers of {molecules:,} molecules"
        say(
            f"stereoisomers: {stereo['cut']:,} molecules may have more than {settings.stereo}, "
            f"{stereo['none']:,} have none that can exist in space",
            err=to_stdout,
        )
    say(
        f"Wrote {written} to {'standard output' if to_stdout else output}: model {settings.model}, "
        f"seed {record['seed']}, sampler {record['sampler']}, {record['steps']} steps, {record['device']}, "
        f"{record['seconds']:,.1f} s, {record['samples_per_second']:,.1f} samples/s",
        err=to_stdout,
    )
    if record["fell_short"]:
        say(
            f"Warning: {molecules:,} of the {settings.unique:,} distinct molecules asked for were found in the "
            f"{settings.samples:,} samples allowed; --max-samples raises this limit",
            err=True,
        )


def no_molecules(summary: Summary, settings: Settings) -> str:
    """Why a run gave nothing, and what to try."""
    if summary.valid:
        return f"none of {summary.unique:,} distinct molecules passes the filter; try a wider one, or more samples"
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in summary.reasons.items())
    names = {"formula": "formula", "atoms": "atoms", "core": "core", "targets": "target", "size": "size"}
    wanted = [f"--{option}" for name, option in names.items() if getattr(settings, name)]
    tries = ["more samples (--num, or --max-samples with --unique)", "more --steps", "another --sampler"]
    if wanted:
        tries.insert(0, f"less demanding {' and '.join(wanted)}")
    return f"none of {summary.requested:,} samples is a valid molecule ({reasons}); try {', '.join(tries)}"


def _table(summary: Summary) -> str:
    lines = [("requested", f"{summary.requested:,}", "", "")]
    for share in summary.shares():
        percent = "-" if share.share is None else f"{share.share:.1%}"
        lines.append((share.metric, f"{share.count:,}", percent, f"of {share.total:,} {share.of}"))
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "\n".join(f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in lines)
