"""How fast work goes, in words."""

TRUSTED_SECONDS = 4.0  # before, and before TRUSTED_SHARE is done, no time left is told: it would jump
TRUSTED_SHARE = 0.04


def pace(done: int, total: int, seconds: float) -> str:
    """Such as "61 of 300, 4.1/s, about 1 min left"; of rate and time only what can be told already."""
    text = f"{done:,} of {total:,}"
    if seconds < TRUSTED_SECONDS or done < max(1, TRUSTED_SHARE * total):
        return text
    rate = done / seconds
    text += f", {rate:,.0f}/s" if rate >= 10 else f", {rate:.1f}/s" if rate >= 0.1 else f", {1 / rate:,.0f} s each"
    return f"{text}, about {duration((total - done) / rate)} left" if total > done else text


def duration(seconds: float) -> str:
    """Seconds, roughly, in words."""
    if seconds < 60:
        return f"{max(5, 5 * round(seconds / 5))} s"
    if seconds < 5_400:
        return f"{max(1, round(seconds / 60))} min"
    return f"{seconds / 3600:.1f} h"
