"""The token bucket that limits writes."""

import pytest

from modelfleet.kube.rate_limit import TokenBucket


def test_burst_is_free_and_then_the_rate_holds():
    bucket = TokenBucket(rate=2, burst=3)
    assert [bucket.reserve(0) for _ in range(5)] == pytest.approx([0, 0, 0, 0.5, 1.0])


def test_tokens_come_back_with_time_up_to_the_burst():
    bucket = TokenBucket(rate=2, burst=3)
    for _ in range(3):
        bucket.reserve(0)
    assert bucket.reserve(0.5) == pytest.approx(0)
    assert bucket.reserve(0.5) == pytest.approx(0.5)
    assert [bucket.reserve(1000) for _ in range(4)] == pytest.approx([0, 0, 0, 0.5])


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_senseless_limits_are_refused(rate, burst):
    with pytest.raises(ValueError, match="positive rate"):
        TokenBucket(rate, burst)
