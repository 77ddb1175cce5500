"""The settings' file on disk: read again when it changes, the last good settings kept where the new ones are wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from agent.capture.settings import Settings, SettingsInvalid, parse

_log = logging.getLogger(__name__)


class SettingsFile:
    """`read` is cheap while nothing changes: one stat. `on_invalid` hears whether the file can be used or not."""

    def __init__(self, path: Path, on_invalid: Callable[[bool], None]) -> None:
        self._path = path
        self._on_invalid = on_invalid
        self._seen: tuple[int, int, int] | str | None = None
        self._settings: Settings | None = None

    def read(self) -> Settings | None:
        """The settings in force; None while there is no such file, which means that nothing is captured.

        A change is seen by time, inode and size: the kubelet swaps a symlink, so the inode changes.
        """
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._changed("absent", self._absent)
            return self._settings
        except OSError as error:
            problem = f"can't be read: {error.strerror}"
            self._changed(problem, lambda: self._refuse(problem))
            return self._settings
        self._changed((status.st_mtime_ns, status.st_ino, status.st_size), self._load)
        return self._settings

    def _changed(self, now: tuple[int, int, int] | str, act: Callable[[], None]) -> None:
        if now != self._seen:
            self._seen = now
            act()

    def _absent(self) -> None:
        self._settings = None
        self._on_invalid(False)
        _log.info("no capture settings at %s: nothing is captured until they appear", self._path)

    def _load(self) -> None:
        try:
            self._settings = parse(self._path.read_bytes())
        except OSError as error:
            self._seen = None  # look again next time: it was there a moment ago
            self._refuse(f"can't be read: {error.strerror}")
        except SettingsInvalid as invalid:
            self._refuse(str(invalid))
        else:
            self._on_invalid(False)
            _log.info("capture settings read from %s: %s", self._path, _summary(self._settings))

    def _refuse(self, problem: str) -> None:
        self._on_invalid(True)
        stays = "the last good settings stay in force" if self._settings else "nothing is captured"
        _log.error("capture settings %s %s; correct spec.delivery.capture: %s", self._path, problem, stays)


def _summary(settings: Settings) -> str:
    reasons = ", ".join(settings.reasons) or "no rules"
    return f"{reasons}{' (suspended)' if settings.suspend else ''}"
