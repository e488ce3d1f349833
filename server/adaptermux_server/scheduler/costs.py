"""What things cost, learnt from what they did cost: exponentially weighted estimates that outliers can't upset."""

from adaptermux_server.types import CostEstimates

_MEMORY = 0.95
"""Weight of a batch's measurement relative to the next one: the last 20 or so count."""
_TRAVERSAL_GAIN = 0.2
"""Weight of the newest traversal: the last 5 or so count."""
_SURPRISE = 4.0
"""A measurement counts as at most this many times what was expected, and at least as one over it."""
_FLOOR_SECONDS = 1e-9
_KILOTOKEN = 1000.0
"""Tokens are reckoned in thousands, so that both columns of the regression have like magnitudes."""


class CostModel:
    """Expects  batch_seconds + token_seconds × padded tokens  of a forward, after a traversal where one is needed.

    The line is fitted by recursive least squares with exponential forgetting (Haykin, Adaptive Filter Theory,
    chapter 10), which keeps what it knew in the directions that new measurements say nothing of: a stream of batches
    of one size moves the line up and down and leaves its slope in proportion.
    """

    def __init__(
        self, traversal_seconds: float = 2e-3, batch_seconds: float = 2e-3, token_seconds: float = 2e-5
    ) -> None:
        """The priors: low, since what is thought too dear is refused and so never measured."""
        self.traversal_seconds = traversal_seconds
        self.batch_seconds = batch_seconds
        self.token_seconds = token_seconds
        self._covariance = [[1.0, 0.0], [0.0, 1.0]]

    def batch(self, padded_tokens: int) -> float:
        """Seconds that a forward over so many tokens is expected to take."""
        return self.batch_seconds + self.token_seconds * padded_tokens

    def estimates(self) -> CostEstimates:
        """What the model reckons with now."""
        return CostEstimates(self.traversal_seconds, self.batch_seconds, self.token_seconds)

    def learn_traversal(self, seconds: float) -> None:
        """Take in what a traversal took."""
        expected = self.traversal_seconds
        self.traversal_seconds += _TRAVERSAL_GAIN * (_unsurprising(seconds, expected) - expected)

    def learn_batch(self, padded_tokens: int, seconds: float, num_forwards: int = 1) -> None:
        """Take in what the forwards of a batch took together."""
        expected = num_forwards * self.batch_seconds + padded_tokens * self.token_seconds
        error = _unsurprising(seconds, expected) - expected
        gain_batch, gain_kilotoken = self._gain(num_forwards, padded_tokens / _KILOTOKEN)
        self.batch_seconds = max(_FLOOR_SECONDS, self.batch_seconds + gain_batch * error)
        self.token_seconds = max(_FLOOR_SECONDS, self.token_seconds + gain_kilotoken * error / _KILOTOKEN)

    def doubt(self) -> None:
        """Shrink all estimates a little.

        Done when rows were refused because of an estimate alone: one that is far too high would otherwise refuse all
        rows with a deadline, and so never be measured again.
        """
        self.traversal_seconds *= 0.98
        self.batch_seconds *= 0.98
        self.token_seconds *= 0.98

    def _gain(self, forwards: int, kilotokens: float) -> tuple[float, float]:
        """One step of recursive least squares for x = (forwards, kilotokens): updates P, returns P x / (λ + x' P x)."""
        (p, q), (_, r) = self._covariance
        px, qx = p * forwards + q * kilotokens, q * forwards + r * kilotokens
        scale = _MEMORY + px * forwards + qx * kilotokens
        covariance = [[p - px * px / scale, q - px * qx / scale], [q - px * qx / scale, r - qx * qx / scale]]
        # The cap keeps what isn't excited from growing without end ("wind-up").
        growth = 1 / _MEMORY if covariance[0][0] + covariance[1][1] < 2 else 1.0
        self._covariance = [[growth * value for value in row] for row in covariance]
        return px / scale, qx / scale


def _unsurprising(seconds: float, expected: float) -> float:
    return min(max(seconds, expected / _SURPRISE), expected * _SURPRISE)
