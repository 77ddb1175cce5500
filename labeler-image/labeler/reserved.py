"""Which captures come into no version, whatever people answer: of a day of the holdout, and not sampled.

Whether one is such a capture depends on its sidecar, which is written once, and on what changes: the days of the
holdout, what replays list, what the versions have. So what the sidecars say is remembered, and the rest is asked of it
at each sync. Without, each sync would read the sidecars of all such answers that there ever were, and, as nobody is
asked about them, those of such captures of the last weeks.

It lies in the store, `reserved.txt.gz`: a line a capture, `<key of its image> <digest of its image> <those of its rules
that count>`. It is made again where it is gone, is too large or makes no sense, and holds what the last sync needed of
it.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import artifactstore
from artifactstore import ArtifactError
from detectiondata.captures import DISAGREE, SAMPLE, Capture, Key, is_of_sample

_FILE = "reserved.txt.gz"
_LIMIT = 16 << 20  # bytes: some 350,000 lines, for which 250 MB of memory are needed (a labeler has 1 GiB)


@dataclass(frozen=True, slots=True)
class Said:
    """What a sidecar says that decides here."""

    sha256: str
    sampled: bool
    disagrees: bool

    @classmethod
    def by(cls, capture: Capture, listed: bool) -> Self:
        """`listed`: its rule that versions disagree is that of a replay, which is asked for at each sync."""
        return cls(capture.sha256, capture.sample is not None, DISAGREE in capture.rules and not listed)

    def counts(self, key: Key, listed: bool) -> bool:
        """Whether the frame counts where the sample is measured; `listed`: by a replay, as one that versions disagree
        on."""
        return self.sampled and is_of_sample(self.disagrees or listed, key.sha8)


def read(store: str) -> dict[str, Said]:
    """What is remembered, by the keys of images. Raises ArtifactError."""
    try:
        content = gzip.decompress(artifactstore.read_bytes(_address(store), limit=_LIMIT)).decode()
    except ArtifactError as error:
        if error.reason not in ("NotFound", "Unsupported"):  # it is not there, or larger than we read
            raise
        return {}
    except (OSError, EOFError, ValueError, zlib.error):
        return {}
    lines = (line.rsplit(" ", 2) for line in content.splitlines())
    return {
        line[0]: Said(line[1], SAMPLE in (rules := line[2].split(",")), DISAGREE in rules)
        for line in lines
        if len(line) == 3
    }


def write(store: str, before: Mapping[str, Said], said: Mapping[str, Said]) -> None:
    """Remember what is `said`, if it is not what was `before`. Raises ArtifactError."""
    if dict(before) == dict(said):
        return
    content = "".join(f"{key} {each.sha256} {_rules(each)}\n" for key, each in sorted(said.items())).encode()
    artifactstore.put_bytes(gzip.compress(content, 6, mtime=0), _address(store), overwrite=True)


def _rules(said: Said) -> str:
    found: Iterable[str] = [name for name, has in ((SAMPLE, said.sampled), (DISAGREE, said.disagrees)) if has]
    return ",".join(found) or "-"


def _address(store: str) -> str:
    return f"{store.rstrip('/')}/{_FILE}"
