"""What things cost, learnt from what they did cost, so that neither outliers nor batches all alike can upset it."""

import numpy as np
import numpy.typing as npt

from adaptermux_server.types import CostEstimates

_NUM_MEASUREMENTS = 100
_MEMORY = 0.97
"""Weight of a batch's measurement relative to the next one: the last 30 or so count."""
_USUAL_ERROR = 0.25
"""A measurement that is further off, relative to what was expected, pulls no harder than one that is so far off."""
_PRIOR_WEIGHT = 0.01
"""Of the prior, relative to a measurement: that of noise of a tenth beside a guess that may be all wrong."""
_TRAVERSAL_GAIN = 0.2
"""Weight of the newest traversal: the last 5 or so count."""
_PACE_GAIN = 0.1
"""Weight of the newest batch: the last 10 or so count."""
_PACE_SURPRISE = 2.0
"""A batch's pace counts as at most this many times what was expected, and at least as one over it."""
_SURPRISE = 4.0
"""The same for a traversal."""
_DOUBT = 0.98
"""What an estimate that refuses everything is multiplied by, again and again until it is tried."""
_FLOOR_SECONDS = 1e-9


class CostModel:
    """Expects  batch_seconds + token_seconds × padded tokens  of a forward, after a traversal where one is needed.

    The line is fitted to the last measurements, newer ones weighing more, by least squares of relative errors, for what
    disturbs a batch does so in proportion to its length. Measurements far from the line lose weight (Huber, Annals of
    Mathematical Statistics 1964, by one step of iterated reweighting for each new one): most are late as the processor
    was elsewhere. Where batches are so much alike that they don't determine the line, a prior keeps its two parts in
    proportion; like one more measurement, it says nothing of how fast the machine is.
    """

    def __init__(
        self, traversal_seconds: float = 2e-3, batch_seconds: float = 2e-3, token_seconds: float = 4e-5
    ) -> None:
        """The priors: low, since what is thought too dear is refused and so never measured."""
        self.traversal_seconds = traversal_seconds
        self.batch_seconds = batch_seconds
        self.token_seconds = token_seconds
        self.pace = 1.0
        """What batches took lately as a whole, relative to `batch` of their tokens: more for padding, for several
        forwards, and for what the machine does between them."""
        self._tokens_per_unit = batch_seconds / token_seconds
        """Tokens that by the prior cost as much as a forward's fixed part; by it all sizes are of like magnitude."""
        self._sizes = np.empty((0, 2))
        """Forwards and units of tokens of each measurement, oldest first."""
        self._seconds = np.empty(0)

    @property
    def num_measurements(self) -> int:
        """How many batches it was learnt from, as far as they still count."""
        return len(self._seconds)

    def batch(self, padded_tokens: float) -> float:
        """Seconds that a forward over so many tokens is expected to take."""
        return self.batch_seconds + self.token_seconds * padded_tokens

    def estimates(self) -> CostEstimates:
        """What the model reckons with now."""
        return CostEstimates(self.traversal_seconds, self.batch_seconds, self.token_seconds)

    def learn_traversal(self, seconds: float) -> None:
        """Take in what a traversal took."""
        expected = self.traversal_seconds
        unsurprising = min(max(seconds, expected / _SURPRISE), expected * _SURPRISE)
        self.traversal_seconds += _TRAVERSAL_GAIN * (unsurprising - expected)

    def learn_pace(self, expected_seconds: float, seconds: float) -> None:
        """Take in what a batch took as a whole, where that was expected of its tokens."""
        unsurprising = min(max(seconds / expected_seconds, self.pace / _PACE_SURPRISE), self.pace * _PACE_SURPRISE)
        self.pace += _PACE_GAIN * (unsurprising - self.pace)

    def learn_batch(self, padded_tokens: int, seconds: float, num_forwards: int = 1) -> None:
        """Take in what the forwards of a batch took together. Some 50 µs."""
        size = (num_forwards, padded_tokens / self._tokens_per_unit)
        self._sizes = np.vstack((self._sizes[1 - _NUM_MEASUREMENTS :], size))
        self._seconds = np.append(self._seconds[1 - _NUM_MEASUREMENTS :], seconds)
        batch_seconds, unit_seconds = _fit(self._sizes, self._seconds, self._weights())
        self.batch_seconds = max(_FLOOR_SECONDS, batch_seconds)
        self.token_seconds = max(_FLOOR_SECONDS, unit_seconds / self._tokens_per_unit)

    def doubt(self) -> None:
        """Shrink all estimates a little, and what they were made of.

        Done when rows were refused because of an estimate alone, and no batch was made: one that is far too high would
        otherwise refuse all rows with a deadline, and so never be measured again.
        """
        self.doubt_traversal()
        self.batch_seconds *= _DOUBT
        self.token_seconds *= _DOUBT
        self._seconds *= _DOUBT

    def doubt_traversal(self) -> None:
        """Shrink that estimate alone: where rows were refused that need one, while batches of others are measured."""
        self.traversal_seconds *= _DOUBT

    def _weights(self) -> npt.NDArray[np.float64]:
        """Of the measurements, oldest first, for squares of their errors; one like the newest, if expected, has 1."""
        expected = self._sizes @ (self.batch_seconds, self.token_seconds * self._tokens_per_unit)
        errors = np.abs(self._seconds / expected - 1)
        ages = np.arange(len(self._seconds))[::-1]
        weights: npt.NDArray[np.float64] = (
            _MEMORY**ages * (expected[-1] / expected) ** 2 * _USUAL_ERROR / np.maximum(errors, _USUAL_ERROR)
        )
        return weights


def _fit(
    sizes: npt.NDArray[np.float64], seconds: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """Seconds of a forward's fixed part and of a unit, neither below 0, by weighted least squares.

    The prior, by which they are equal, is one more equation: (1, -1) times the two is 0.
    """
    weighted = sizes * weights[:, None]
    (p, q), (_, r) = weighted.T @ sizes + _PRIOR_WEIGHT * np.array([[1, -1], [-1, 1]])
    u, v = seconds @ weighted
    batch_seconds, unit_seconds = (r * u - q * v) / (p * r - q * q), (p * v - q * u) / (p * r - q * q)
    if batch_seconds < 0:
        return 0.0, float(v / r)
    if unit_seconds < 0:
        return float(u / p), 0.0
    return float(batch_seconds), float(unit_seconds)
