"""The traffic that benchmarks offer."""

from collections import Counter

import pytest

from benchmarks.traffic import MAX_WORDS, MIN_WORDS, popularity, traffic


def test_the_same_seed_gives_the_same_traffic() -> None:
    assert traffic(50, seed=1) == traffic(50, seed=1)
    assert traffic(50, seed=1) != traffic(50, seed=2)


def test_popularity_follows_zipf() -> None:
    shares = popularity(3)

    assert [1, 2**-1.1, 3**-1.1] == pytest.approx(list(shares / shares[0]))
    assert shares.sum() == pytest.approx(1)


def test_adapters_come_as_often_as_their_popularity_says() -> None:
    counts = Counter(request.adapter for request in traffic(20_000, num_adapters=16, seed=3))

    # Five standard deviations of the largest count.
    assert list(popularity(16)) == pytest.approx([counts[adapter] / 20_000 for adapter in range(16)], abs=0.017)


def test_texts_have_6_to_40_words_and_most_are_short() -> None:
    lengths = sorted(len(request.text.split()) for request in traffic(5_000, seed=4))

    assert (MIN_WORDS, MAX_WORDS) == (lengths[0], lengths[-1])
    assert 11 <= lengths[len(lengths) // 2] <= 13


def test_arrivals_are_poisson_with_a_mean_gap_of_one() -> None:
    arrivals = [request.arrives_at for request in traffic(20_000, seed=5)]

    gaps = [later - earlier for earlier, later in zip([0.0, *arrivals], arrivals, strict=False)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert (1.0, 1.0) == (pytest.approx(mean, abs=0.05), pytest.approx(variance, abs=0.15))
    assert min(gaps) >= 0
