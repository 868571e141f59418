"""The time that a training may take: its learning rates fall with the clock, and its last measurement is counted."""

import math
from dataclasses import dataclass

from molgen.training.settings import TrainSettings

MEASURING = 4  # seconds of training for each second of a measurement that the clock alone asks for
SLACK = 1.05  # of the limit, within which a last measurement may end


@dataclass
class TimeLimit:
    """How long a run may take with all its parts, before and after being resumed; measuring and saving are counted.

    limit: seconds, infinite where nothing is asked; measuring: of the longest measurement so far, saving included;
    measured: when the last one ended. Times are seconds of the run.
    """

    limit: float = math.inf
    measuring: float = 0.0
    measured: float = 0.0

    @property
    def training(self) -> float:
        """When training ends, so that a last measurement fits in."""
        return self.limit - self.measuring

    def is_up(self, now: float) -> bool:
        """Whether there is time for no more steps."""
        return now > self.training

    def rate_scale(self, now: float, decay: float) -> float:
        """Largest share of the peak learning rates: above 1 until the last `decay` of the time, then falling to 0."""
        if self.limit == math.inf:
            return math.inf
        left = self.training - now
        return max(0.0, left) / max(1e-9, decay * self.training)

    def asks(self, now: float, settings: TrainSettings, *, due: bool) -> bool:
        """Whether to measure: if due by its steps or by the clock, and if a last measurement fits in after it."""
        if self.limit == math.inf:
            return due
        pause = max(self.limit / settings.evaluations, MEASURING * self.measuring)
        return (due or now - self.measured > pause) and now + 2 * self.measuring <= self.limit

    def has_room(self, now: float) -> bool:
        """Whether a measurement, whose time is known, still ends within the limit, or nearly."""
        return 0 < self.measuring <= SLACK * self.limit - now

    def took(self, start: float, end: float) -> None:
        """A measurement has been made."""
        self.measuring, self.measured = max(self.measuring, end - start), end
