"""A token bucket: how long a write has to wait so that the API server is not flooded. Pure; the clock is passed in."""

from dataclasses import dataclass


@dataclass
class TokenBucket:
    """`rate` tokens a second, at most `burst` saved up. Starts full."""

    rate: float
    burst: int

    def __post_init__(self) -> None:
        if self.rate <= 0 or self.burst < 1:
            raise ValueError("a token bucket needs a positive rate and a burst of at least 1")
        self._free_at = float("-inf")  # when the bucket would be full again; lies ahead of now by what has been taken

    def reserve(self, now: float) -> float:
        """Take one token and return the seconds to wait before using it (0 while the burst lasts)."""
        full = self.burst / self.rate
        self._free_at = max(self._free_at, now) + 1 / self.rate
        return max(0.0, self._free_at - now - full)
