"""Durations and quantities as the API writes them, which the settings carry on. Pure. All raise ValueError."""

from __future__ import annotations

import re
from decimal import Decimal

_DURATION = re.compile(r"([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h)){1,6}")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}

_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
_BYTES = {
    **{unit: 1000 ** (power + 1) for power, unit in enumerate(("k", "M", "G", "T", "P"))},
    **{unit: 1024 ** (power + 1) for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi"))},
}


def seconds(text: object) -> float:
    """A duration such as "90s", "10m" or "1h30m", in seconds."""
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        raise ValueError("must be a duration such as 90s, 10m or 1h30m (units: ms, s, m, h)")
    return float(sum(Decimal(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text)))


def size(value: object) -> int:
    """A quantity such as "2Gi", "500M" or 1000, in bytes."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    found = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("must be a quantity such as 500M or 2Gi")
    return int(Decimal(found[1]) * _BYTES.get(found[2], 1))


def number(value: object) -> float:
    """A decimal, as text or as a number."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,18})?", value):
        return float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise ValueError("must be a decimal such as 0.5")
