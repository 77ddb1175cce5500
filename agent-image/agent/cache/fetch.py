"""`agent fetch`: put one model file into the node's cache, verified, and keep the cache small.

Layout below the cache's root (the volume `modelfleet-models`, which all pods of a node may share):

    <sha256>/<file name>         a verified file, readable by everyone, never written again
    <sha256>/.wanted-by-<namespace>.<name>   that Rollout keeps it; the mark's time says when it last asked for the file
    <sha256>/.signed             the signature of the file, where one was demanded: verified again at each fetch
    <sha256>/.partial            a download under way, or what there is of one that broke off: the next goes on with it
    <sha256>/.<other>            what a crash left of a copy
    .locks/<sha256>              held (flock) by the one fetch that downloads or removes that digest
    .locks/cache                 held while entries are counted and removed
    .trash-<sha256>              an entry that is being removed

Concurrency. Pods of several Rollouts may fetch on one node at once. Whoever holds a digest's lock is its only writer,
so a second fetch of the same file waits and then finds it there, and a partial download seen under the lock is nobody
else's. `artifactstore` verifies a download before an atomic rename gives it its name: a reader sees all of it or
nothing. Locks are taken in the order own digest, cache, other digests, the last without waiting, so no two fetches
can wait for each other; the kernel drops the locks of a process that dies.

In use. A file is never removed while a process holds a shared flock on it (`agent serve` does, for as long as it runs),
nor the newest one of any Rollout, whatever runs it: an application that takes no lock, or one between a crash and its
restart, keeps its file. Beyond that each Rollout keeps its newest `keep` entries, and what no Rollout keeps is removed;
when the disk is too full for a download, all but the newest of each Rollout may go, the oldest first.

Ahead. `agent prefetch` fetches a version that this node does not run yet. It takes what is free and removes nothing,
and its mark is older than that of the newest version, which thereby stays what is kept first.

Offline. With the file in the cache nothing is asked of the store: a reboot, and a rollback to one of the versions kept,
need no network.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.config import Demanded, FetchConfig
from agent.termination import Refused
from artifactstore import ArtifactError, fetch_file

SPARE = 64 * 1024 * 1024
"""Bytes that must stay free on the disk after a download: a full disk harms everything on the node."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_WANTED = ".wanted-by-"
_SIGNED = ".signed"
_PARTIAL = ".partial"
_TRASH = ".trash-"
_NAMED = 3  # other Rollouts in a message

_log = logging.getLogger(__name__)


def run(
    config: FetchConfig,
    free_bytes: Callable[[Path], int] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Make sure that `config.model.path` is the file with its digest and size.

    Raises Refused with a reason of artifactstore (DigestMismatch, NotFound, AccessDenied, Unreachable, DiskFull,
    DiskError, Unsupported), of the signature (SignatureMissing, SignatureInvalid) or of the cache (CacheNotWritable,
    CacheUnusable); ConfigError where the keys are none.
    `free_bytes` tells the space on a path's disk (default: ask the file system).
    """
    with _refusing(config):
        _run(config, free_bytes or _free_bytes, sleep, ahead=False)


def run_ahead(
    config: FetchConfig,
    free_bytes: Callable[[Path], int] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """`run` for a version that is not used yet: it removes nothing from the cache, neither for room nor afterwards."""
    with _refusing(config):
        _run(config, free_bytes or _free_bytes, sleep, ahead=True)


@contextlib.contextmanager
def _refusing(config: FetchConfig) -> Iterator[None]:
    """Turns what goes wrong inside into Refused."""
    try:
        yield
    except ArtifactError as error:
        raise Refused(error.reason, error.message) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = f"the disk of {config.model.cache} became full while {config.model.size} bytes were downloaded"
            raise Refused("DiskFull", message) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise Refused("CacheNotWritable", _not_writable(config.model.cache, error)) from error
        raise Refused("CacheUnusable", f"{config.model.cache}: {error}") from error


def _run(
    config: FetchConfig, free_bytes: Callable[[Path], int], sleep: Callable[[float], None], *, ahead: bool
) -> None:
    model = config.model
    cache = model.cache
    (cache / ".locks").mkdir(mode=0o755, exist_ok=True)
    with _locked(cache / ".locks" / model.sha256, f"another fetch of {model.path}"):
        entry = model.path.parent
        _make_folder(entry)
        for leftover in entry.glob(".*"):
            if not leftover.name.startswith(_WANTED) and leftover.name not in (_SIGNED, _PARTIAL):
                leftover.unlink()
                _log.info("removed %s, left by a fetch that did not end", leftover)
        signed = None if config.signature is None else _new_signature(config, config.signature, entry / _SIGNED)
        if _is_there(config):
            _log.info("%s is in the cache already, digest verified", model.path)
        else:
            _make_room(config, free_bytes, kept := _size(entry / _PARTIAL), may_remove=not ahead)
            _download(config, kept, sleep)
        if signed is not None:
            _keep(entry / _SIGNED, signed)
        with _locked(cache / ".locks" / "cache", "another fetch that cleans the cache"):
            if ahead:
                _mark_ahead(config)
            else:
                _mark(config)
                _prune(config)


def _make_folder(entry: Path) -> None:
    """An entry that is a link to another disk stays one, as long as it leads to a folder."""
    try:
        entry.mkdir(mode=0o755)
    except FileExistsError:
        if _is_folder(entry):
            return
        _log.warning("%s is no folder, nor a link that leads to one: removing it, and fetching the file again", entry)
        entry.unlink()
        entry.mkdir(mode=0o755)


def _is_folder(entry: Path) -> bool:
    """False, too, for a link to where nothing can be asked for: a disk that is broken."""
    try:
        return entry.is_dir()
    except OSError:
        if entry.is_symlink():
            return False
        raise


def _download(config: FetchConfig, kept: int, sleep: Callable[[float], None]) -> None:
    model = config.model
    if wait := start_delay(config, random.random()):
        _log.info("downloading in %.1f s: starts are spread over %g s (MODEL_FETCH_SPREAD)", wait, config.spread)
        sleep(wait)
    if kept:
        _log.info("going on with %d of %d bytes, left by a fetch that broke off", kept, model.size)
    fetch_file(config.uri, model.path, sha256=model.sha256, size=model.size, partial=model.path.with_name(_PARTIAL))
    _log.info("fetched %s to %s (%d bytes), digest verified", config.uri, model.path, model.size)


def start_delay(config: FetchConfig, draw: float) -> float:
    """Seconds to wait before a download; `draw` is a random number in [0, 1)."""
    return 0.0 if config.uri.startswith("file://") else draw * config.spread


def _size(partial: Path) -> int:
    try:
        return partial.stat().st_size
    except FileNotFoundError:
        return 0


def _new_signature(config: FetchConfig, demanded: Demanded, kept: Path) -> bytes | None:
    """The bundle at the source that says that this file is signed; None where the one kept in the cache says so, so
    that a reboot needs no network. It is verified before anything is downloaded, and binds the digest that the download
    must have.
    """
    from agent.cache import bundle  # its library is needed only where signatures are demanded

    name, sha256 = config.model.path.name, config.model.sha256
    if kept.is_file():
        try:
            bundle.require(demanded, kept.read_bytes(), name, sha256, config.uri)
        except Refused as refusal:
            _log.info("the signature kept in %s does not count (%s): looking for another one", kept, refusal.message)
        else:
            _log.info("%s is signed, by the signature kept in the cache", name)
            return None
    content = bundle.read(demanded)
    bundle.require(demanded, content, name, sha256, config.uri)
    _log.info("%s is signed, by %s", name, demanded.uri)
    return content


def _keep(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def _is_there(config: FetchConfig) -> bool:
    """True when the right file is in its place. What is there and differs (a damaged disk) is removed."""
    model = config.model
    if not model.path.is_file():
        return False
    with model.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest == model.sha256:
        return True
    _log.warning("%s has digest %s: the cache is damaged there, fetching it again", model.path, digest)
    model.path.unlink()
    return False


def _make_room(config: FetchConfig, free_bytes: Callable[[Path], int], kept: int, *, may_remove: bool) -> None:
    """See that what is missing of the file fits on the disk, emptying the trash, and then removing what may go, oldest
    first, if anything may.

    `kept` bytes of it are there. Raises Refused(DiskFull).
    """
    cache = config.model.cache
    missing = max(config.model.size - kept, 0)
    needed = missing + SPARE
    if free_bytes(cache) >= needed:
        return
    with _locked(cache / ".locks" / "cache", "another fetch that cleans the cache"):
        _empty_trash(cache)
        if free_bytes(cache) >= needed:
            return
        for entry in _expendable(cache) if may_remove else ():
            _remove(cache, entry)
            if free_bytes(cache) >= needed:
                return
    free = free_bytes(cache)
    if free < needed:
        raise Refused(
            "DiskFull",
            f"{config.uri} needs {missing} bytes and {SPARE} to spare in {cache}, where {free} are free, "
            f"{needed - free} too few, and nothing more may be removed from the cache: free that much on the node's "
            f"disk, or publish a smaller model{_kept_for_others(config)}",
        )


def _kept_for_others(config: FetchConfig) -> str:
    """What stays for Rollouts of which a node can't know whether they are there still: the longest unasked first."""
    last: dict[str, tuple[int, str]] = {}
    for entry in _entries(config.model.cache):
        for owner, at in entry.wanted.items():
            if owner != config.owner:
                last[owner] = max(last.get(owner, (0, "")), (at, entry.sha256))
    told = [
        f"{owner} (asked for on {time.strftime('%Y-%m-%d', time.gmtime(at / 1e9))}, {config.model.cache / sha256})"
        for owner, (at, sha256) in sorted(last.items(), key=lambda each: each[1])[:_NAMED]
    ]
    if not told:
        return ""
    return f". The newest of each other Rollout is kept, of {', '.join(told)}: remove the folder of one that is deleted"


@dataclass(frozen=True)
class _Entry:
    """One digest in the cache, and when each Rollout that still wants it last asked for it (in ns since 1970)."""

    sha256: str
    wanted: dict[str, int]


def _entries(cache: Path) -> list[_Entry]:
    entries = []
    for folder in cache.iterdir():
        if not _DIGEST.fullmatch(folder.name):
            continue
        try:
            if not folder.is_dir():
                continue
            marks = [Path(mark) for mark in os.scandir(folder) if mark.name.startswith(_WANTED)]
            wanted = {mark.name.removeprefix(_WANTED): mark.stat().st_mtime_ns for mark in marks}
        except OSError as error:
            _stays(folder, error)
        else:
            entries.append(_Entry(folder.name, wanted))
    return entries


def _prune(config: FetchConfig) -> None:
    """Withdraw this Rollout's marks from all but its newest entries; remove what nobody wants. The cache is locked."""
    cache = config.model.cache
    _empty_trash(cache)
    entries = _entries(cache)
    mine = sorted(
        (entry for entry in entries if config.owner in entry.wanted), key=lambda entry: entry.wanted[config.owner]
    )
    for entry in mine[: -config.keep]:
        try:
            (cache / entry.sha256 / f"{_WANTED}{config.owner}").unlink()
        except OSError as error:
            _stays(cache / entry.sha256, error)
        else:
            del entry.wanted[config.owner]
    for entry in entries:
        if not entry.wanted and entry.sha256 != config.model.sha256:
            _remove(cache, entry)


def _expendable(cache: Path) -> list[_Entry]:
    """Entries that are no Rollout's newest, the longest unwanted first: what may go when the disk is full."""
    entries = _entries(cache)
    newest: dict[str, _Entry] = {}
    for entry in entries:
        for rollout, at in entry.wanted.items():
            if rollout not in newest or at > newest[rollout].wanted[rollout]:
                newest[rollout] = entry
    kept = {entry.sha256 for entry in newest.values()}
    others = (entry for entry in entries if entry.sha256 not in kept)
    return sorted(others, key=lambda entry: max(entry.wanted.values(), default=0))


def _empty_trash(cache: Path) -> None:
    """Go on with removals that a crash cut off. The cache's lock is held."""
    for trash in cache.glob(f"{_TRASH}*"):
        try:
            _delete(trash)
        except OSError as error:
            _stays(trash, error)
        else:
            _log.info("removed %s, left by a removal that did not end", trash)


def _remove(cache: Path, entry: _Entry) -> None:
    """Remove an entry, unless it is being fetched or a process uses it.

    The cache's lock is held, and the trash is empty: nothing can be renamed onto what lies there of the same digest.
    What can't be removed stays, and is said: a model that is there runs, whatever is wrong with another one.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_locked(cache / ".locks" / entry.sha256, None))
            for file in (cache / entry.sha256).iterdir():
                if file.is_file() and not file.name.startswith("."):
                    stack.enter_context(_locked(file, None))
            trash = cache / f"{_TRASH}{entry.sha256}"
            (cache / entry.sha256).rename(trash)
            _delete(trash)
        except BlockingIOError:
            _log.info("kept %s: it is in use", cache / entry.sha256)
        except OSError as error:
            _stays(cache / entry.sha256, error)
        else:
            (cache / ".locks" / entry.sha256).unlink()
            _log.info("removed %s from the cache", cache / entry.sha256)


def _delete(trash: Path) -> None:
    if trash.is_dir() and not trash.is_symlink():
        shutil.rmtree(trash)
    else:  # somebody has moved an entry to another disk, and left a link to it
        trash.unlink()


def _stays(path: Path, error: OSError) -> None:
    _log.warning("%s can't be removed from the cache (%s); check the node's disk, and remove it by hand", path, error)


@contextlib.contextmanager
def _locked(path: Path, waiting_for: str | None) -> Iterator[None]:
    """Hold an exclusive flock on `path`. Waits, and logs for what; with None raises BlockingIOError instead."""
    while True:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting_for is None:
                    raise
                _log.info("waiting for %s", waiting_for)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Whoever held it may have removed the file meanwhile: a lock on a file without a name protects nothing.
            if _same_file(path, descriptor):
                yield
                return
        finally:
            os.close(descriptor)


def _same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _mark(config: FetchConfig) -> None:
    """Note that this Rollout wants this entry now: later than any other, even if the node's clock went back."""
    asked = [entry.wanted.get(config.owner, 0) for entry in _entries(config.model.cache)]
    at = max(time.time_ns(), max(asked, default=0) + 1)
    mark = config.model.path.with_name(f"{_WANTED}{config.owner}")
    mark.touch(mode=0o644)
    os.utime(mark, ns=(at, at))


def _mark_ahead(config: FetchConfig) -> None:
    """Note that this Rollout will want this entry: just after it wanted the newest but one, before the newest."""
    mark = config.model.path.with_name(f"{_WANTED}{config.owner}")
    if mark.exists():
        return
    asked = [entry.wanted[config.owner] for entry in _entries(config.model.cache) if config.owner in entry.wanted]
    at = max(asked, default=time.time_ns() + 1) - 1
    mark.touch(mode=0o644)
    os.utime(mark, ns=(at, at))


def _free_bytes(path: Path) -> int:
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def _not_writable(cache: Path, error: OSError) -> str:
    return (
        f"{cache} can't be written by user {os.geteuid()} ({error.strerror}). A host folder that the kubelet made "
        "belongs to root: let the init container that fetches run as user 0, or prepare the folder on the node, "
        "or use `cache: Pod`"
    )
