"""Heavy-tailed traffic: a few adapters get most of the requests, texts are mostly short, arrivals are random."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ZIPF_EXPONENT = 1.1
MIN_WORDS, MAX_WORDS = 6, 40

_MEDIAN_WORDS = 12
_SPREAD = 0.5
"""Standard deviation of the logarithm of a text's length."""
_WORDS = (
    "the a this that our your of in on with for from and but when while not very quite almost "
    "film story actor service price order letter message account market report match player city river "
    "garden kitchen window engine battery screen signal doctor patient student teacher music picture "
    "is was seems became arrived broke opened closed sold bought lost found wrote played asked answered "
    "good bad slow quick late early bright quiet honest strange cheap broken lovely awful simple useful"
)


@dataclass(frozen=True, slots=True)
class Request:
    """A text for an adapter, which is named by its place in the order of popularity (0 is the busiest)."""

    adapter: int
    text: str
    arrives_at: float
    """In units of the mean gap between arrivals: divide by the requests per second that are to be offered."""


def traffic(num_requests: int, num_adapters: int = 16, seed: int = 0) -> list[Request]:
    """Requests in the order of arrival; the same for the same arguments.

    Adapters by Zipf's law (share of the k-th busiest ∝ k^-1.1), Poisson arrivals, lengths log-normal within 6 to 40
    words.
    """
    random, vocabulary = np.random.default_rng(seed), _WORDS.split()
    adapters = random.choice(num_adapters, num_requests, p=popularity(num_adapters))
    lengths = np.clip(np.rint(random.lognormal(np.log(_MEDIAN_WORDS), _SPREAD, num_requests)), MIN_WORDS, MAX_WORDS)
    gaps = random.exponential(1.0, num_requests)
    # Scaled, so that the load is what it is meant to be with few requests too.
    arrivals = np.cumsum(gaps / gaps.mean())
    return [
        Request(int(adapter), " ".join(random.choice(vocabulary, int(length))), float(at))
        for adapter, length, at in zip(adapters, lengths, arrivals, strict=True)
    ]


def popularity(num_adapters: int) -> npt.NDArray[np.float64]:
    """Each adapter's share of the requests, [num_adapters], busiest first."""
    weights = np.array([rank**-ZIPF_EXPONENT for rank in range(1, num_adapters + 1)])
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares
