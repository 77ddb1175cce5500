"""Fetching, putting, reading back and removing. Each function bounds its retries and raises ArtifactError only."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import obstore

from ._address import Address, join, parse
from ._errors import NO_ADDRESS, ArtifactError, error, printable, translated
from ._files import CHUNK, AtomicFile, Digest, ensure_room, of_chunks
from ._s3_listing import Keys, every_key, is_odd
from ._source import Source, opened, opened_at

_LOST = "lost+found"  # what ext4 makes at the top of a volume
_PARALLEL = 8
_NO_SUCH_PART = 416  # HTTP: what was asked for begins behind the end of the object, or parts are not given at all
_PARTS_AT_ONCE = 4  # of one upload
# The largest object the stores take in one request. Only one request can be made conditional.
_SINGLE_PUT_LIMIT = 5 * 1000**3


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a folder: its name relative to the folder, its size in bytes, when it was last written (UTC)."""

    name: str
    size: int
    modified: datetime


def fetch_file(
    uri: str, destination: Path, *, sha256: str | None = None, size: int | None = None, partial: Path | None = None
) -> Digest:
    """Downloads one file to `destination`, verified before it appears there, and returns its digest.

    `partial` is where a download collects that may be gone on with: what an earlier call left there, killed or broken
    off by the network, is not asked for again. It lies on the disk of `destination`, no other call writes to it at the
    same time, and `sha256` and `size` must be given: they decide whether the parts fit together. Where they don't, and
    where the store gives no part of a file, the whole is downloaded again, once.

    Raises ArtifactError: DigestMismatch when `sha256` or `size` is given and differs (nothing is left behind),
    NotFound, AccessDenied, Unreachable, Unsupported, DiskError, DiskFull (before the download, by the size the store
    names).
    """
    kept = partial if sha256 is not None and size is not None else None
    with translated(uri), AtomicFile(destination, kept) as file, translated(uri):
        if size is not None and file.size > size:
            file.restart()
        begun = file.size
        try:
            _download(uri, file, destination.parent, sha256, size)
        except ArtifactError as caught:
            if not begun or (caught.reason != "DigestMismatch" and caught.status != _NO_SUCH_PART):
                raise
            file.restart()  # a crash tore the end of it, the store has other content now, or it gives whole files only
            _download(uri, file, destination.parent, sha256, size)
        file.commit()
        return file.digest()


def _download(uri: str, file: AtomicFile, folder: Path, sha256: str | None, size: int | None) -> None:
    """Reads what `file` lacks, and compares the whole. Raises ArtifactError."""
    with translated(uri):
        if size is None or file.size < size:
            with opened(uri, offset=file.size) as source:
                _expect(uri, source, sha256)
                ensure_room(folder, source.size - file.size, uri)
                for chunk in source.chunks:
                    file.write(chunk)
                    if size is not None and file.size > size:
                        break  # a wrong, endless file need not fill the disk
        _verify(uri, file.digest(), sha256, size)


def fetch_tree(uri: str, destination: Path, *, odd: Callable[[str], None] | None = None) -> list[Path]:
    """Downloads everything below the folder `uri` into `destination` and returns the files, sorted.

    Names of objects never lead out of `destination`; the empty objects that stand for folders are passed over.
    An object whose key can't be asked for is passed over where `odd` takes its key, else it is an error that names it.
    Raises as `fetch_file`; NotFound when the folder is empty, Unsupported for https, which has no listing, and for an
    object whose key can't be a file's name: named.
    """
    address = parse(uri)
    if address.scheme == "https":
        raise error("Unsupported", uri, hint="can't be listed: https has no folders; give an archive (.tar, .zip)")
    if address.is_local and not address.local_path.is_dir():
        raise error("NotFound", uri, hint="is not a folder")
    with translated(uri):
        found = list(_below(address, odd))
    if not found:
        raise error("NotFound", uri, hint="holds nothing; check the address")
    folders = {str(folder) for each in found for folder in PurePosixPath(each.name).parents}
    jobs = []
    for each in found:
        target = destination / each.name
        if not target.resolve().is_relative_to(destination.resolve()):
            raise error(
                "Unsupported", uri, hint=f"holds the name '{printable(each.name)}', which leads out of the folder"
            )
        if each.name in folders:
            hint = f"holds '{printable(each.name)}' as an object and as a folder; rename one of them"
            raise error("Unsupported", uri, hint=hint)
        jobs.append((replace(address, uri=join(uri, each.name), key=each.key), each.size, target))
    ensure_room(destination, sum(each.size for each in found), uri)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        futures = [pool.submit(_fetch_one, *job, odd) for job in jobs]
        try:
            fetched = [future.result() for future in futures]
        except ArtifactError:
            pool.shutdown(cancel_futures=True)
            raise
    if not any(fetched):
        raise error("NotFound", uri, hint="holds nothing but empty folders; check the address")
    return sorted(target for (_, _, target), there in zip(jobs, fetched, strict=True) if there)


def put_file(path: Path, uri: str, *, overwrite: bool = False) -> Digest:
    """Uploads `path`; without `overwrite` only where nothing is yet, decided by the store itself in one request.

    A store without conditional writes is asked first, which leaves a moment in which two writers may both win.
    Raises ArtifactError: AlreadyExists (also when a lost answer made our own first try look foreign: compare
    digests), AccessDenied, NotFound (no such bucket), Unreachable, Unsupported, DiskFull, DiskError.
    """
    with translated(uri):
        size = path.stat().st_size
        if size <= _SINGLE_PUT_LIMIT and not overwrite:
            _create(parse(uri, sending=size), path)
        else:
            part = (16 if overwrite else 64) * CHUNK
            address = parse(uri, sending=min(size, part * _PARTS_AT_ONCE))
            if not overwrite:
                _refuse_existing(address)
            obstore.put(address.store, address.key, path, chunk_size=part, max_concurrency=_PARTS_AT_ONCE)
        with path.open("rb") as file:
            return of_chunks(iter(lambda: file.read(CHUNK), b""))


def put_bytes(data: bytes, uri: str, *, overwrite: bool = False) -> Digest:
    """`put_file` for content in memory."""
    address = parse(uri, sending=len(data))
    with translated(uri):
        if overwrite:
            obstore.put(address.store, address.key, data)
        else:
            _create(address, data)
    return of_chunks([data])


def read_bytes(uri: str, *, limit: int = 16 * CHUNK, sha256: str | None = None) -> bytes:
    """The content of one small object. Raises as `fetch_file`; Unsupported where it is larger than `limit` bytes."""
    pieces, size = [], 0
    with translated(uri), opened(uri) as source:
        for chunk in source.chunks:
            pieces.append(chunk)
            size += len(chunk)
            if size > limit:
                raise error("Unsupported", uri, hint=f"is larger than the {limit} bytes expected here")
    data = b"".join(pieces)
    if sha256 is not None:
        _verify(uri, of_chunks([data]), sha256, None)
    return data


def digest(uri: str) -> Digest:
    """Reads the object back from its store, in pieces, and digests what came. Raises as `fetch_file`."""
    with translated(uri), opened(uri) as source:
        return of_chunks(source.chunks)


def verify(uri: str, *, sha256: str, size: int) -> Digest:
    """Reads the object back from its store, in pieces that are not kept, and compares its digest and size.

    Raises ArtifactError: DigestMismatch, and as `fetch_file`. No more is read of a file than shows that it is too long.
    """
    with translated(uri), opened(uri) as source:
        _expect(uri, source, sha256)
        got = of_chunks(_up_to(size, source.chunks))
        _verify(uri, got, sha256, size)
    return got


def exists(uri: str) -> bool:
    """Whether the object is there. A missing bucket or refused credentials are errors and not a No."""
    address = parse(uri)
    with translated(uri):
        try:
            obstore.head(address.store, address.key)
        except FileNotFoundError:
            return _confirm_absent(address)
        return True


def entries(uri: str, *, odd: Callable[[str], None] | None = None, after: str | None = None) -> list[Entry]:
    """All objects below the folder `uri`, sorted by name; empty when there is no such folder. With `after` those whose
    names sort behind it, and the store lists no others.

    An object whose key can't be asked for is passed over where `odd` takes its key, else it is an error that names it.
    Raises ArtifactError AccessDenied, NotFound (no such bucket), Unreachable, Unsupported (https has no listing).
    """
    return sorted(_once(scan(uri, odd=odd, after=after)), key=lambda entry: entry.name)


def scan(uri: str, *, odd: Callable[[str], None] | None = None, after: str | None = None) -> Iterator[Entry]:
    """What `entries` lists, one after the other, for a folder that is too large to be held in memory.

    In the store's order, which is that of the names where it is S3, empty objects last. A name may come twice: where
    an odd key made the listing begin again, and where a folder's marker is called as an object is. Raises as `entries`.
    """
    address = parse(uri)
    if address.scheme == "https":
        raise error("Unsupported", uri, hint="can't be listed: https has no folders")
    if address.is_local and not address.local_path.is_dir():
        return
    with translated(uri):
        yield from (Entry(each.name, each.size, each.modified) for each in _scanned(address, odd, after))


def folders(uri: str) -> list[str]:
    """The names of the folders right in the folder `uri`, sorted. Nothing below them is listed. Raises as `entries`."""
    address = parse(uri)
    if address.scheme == "https":
        raise error("Unsupported", uri, hint="can't be listed: https has no folders")
    if address.is_local and not address.local_path.is_dir():
        return []
    prefix = address.key.strip("/")
    with translated(uri):
        found = obstore.list_with_delimiter(address.store, prefix or None)["common_prefixes"]
    return sorted(PurePosixPath(each).name for each in found)


def names(uri: str, *, odd: Callable[[str], None] | None = None) -> list[str]:
    """The names alone of what `entries` lists. Raises as it does."""
    return [entry.name for entry in entries(uri, odd=odd)]


def remove(uri: str) -> None:
    """Removes one object; one that is not there is no error. Raises ArtifactError AccessDenied, Unreachable, ..."""
    address = parse(uri)
    with translated(uri):
        try:
            obstore.delete(address.store, address.key)
        except FileNotFoundError:
            _confirm_absent(address)


def remove_tree(uri: str) -> None:
    """Removes everything below the folder `uri`, and on a mounted volume the folder too. Raises as `names`."""
    address = parse(uri)
    if address.is_local:  # also what a writer that was killed left, which a listing does not show
        with translated(uri), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(address.local_path)
        return
    for name in names(uri):
        remove(join(uri, name))


def _confirm_absent(address: Address) -> bool:
    """A 404 may mean no such bucket or user, and HEAD's answer has no body. GET's tells; False if just absent."""
    try:
        with translated(address.uri):
            obstore.get(address.store, address.key)
    except ArtifactError as absent:
        if absent.reason == "NotFound" and "bucket does not exist" not in absent.message:
            return False
        raise
    return True


def _up_to(size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks, until they are more than `size` bytes: a wrong, endless file need not be read to its end."""
    read = 0
    for chunk in chunks:
        yield chunk
        read += len(chunk)
        if read > size:
            return


@dataclass(frozen=True, slots=True)
class _Found:
    name: str  # relative to the folder
    key: str
    size: int
    modified: datetime


_Listed = TypeVar("_Listed", Entry, _Found)


def _below(address: Address, odd: Callable[[str], None] | None = None) -> Iterator[_Found]:
    """What is listed below a folder, each name once."""
    yield from _once(_scanned(address, odd, None))


def _once(listed: Iterable[_Listed]) -> Iterable[_Listed]:
    """Each name once: of two the larger, since a folder's empty marker may be called as an object is."""
    found: dict[str, _Listed] = {}
    for each in listed:
        if each.name not in found or found[each.name].size < each.size:
            found[each.name] = each
    return found.values()


def _scanned(address: Address, odd: Callable[[str], None] | None, after: str | None) -> Iterator[_Found]:
    """What is listed below a folder, without the empty objects that stand for folders; memory is taken by the names of
    folders and by empty objects alone.

    The listing takes the slash from the end of a key, so that `parts/` and `parts/train/`, which consoles and file
    browsers make of folders, look like files. They are told by what lies below them; one that has nothing below it is
    not told from an empty file here (`_fetch_one` does).
    """
    prefix = str(PurePosixPath(address.key.strip("/")))
    begin = 0 if prefix == "." else len(prefix) + 1
    folders: set[str] = set()
    empty: dict[str, _Found] = {}
    for each in _listed(address, address.key.strip("/"), odd, after):
        name = each["path"].rstrip("/")[begin:]
        if not name:  # the folder itself
            continue
        found = _Found(name, each["path"], each["size"], each["last_modified"])
        folder = name.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
        if found.size > 0:
            yield found
        else:
            empty[name] = found
    yield from (found for name, found in empty.items() if name not in folders)


def _listed(
    address: Address, prefix: str, odd: Callable[[str], None] | None, after: str | None
) -> Iterator[Mapping[str, Any]]:
    """A listing that breaks off at an odd key begins again, if it may: some objects come twice."""
    offset = None if after is None else f"{prefix}/{after}" if prefix else after
    try:
        with translated(address.uri):
            for batch in _pages(address, prefix, offset):
                yield from batch
            return
    except ArtifactError as broken:
        keys = Keys.of(os.environ)
        if NO_ADDRESS not in broken.message or odd is None or address.scheme != "s3" or keys is None:
            raise
    bucket = address.uri.removeprefix("s3://").partition("/")[0]
    for each in every_key(keys, address.uri, bucket, f"{prefix}/" if prefix else "", offset):
        if is_odd(each["path"]):
            odd(printable(each["path"]))
        else:
            yield each


def _pages(address: Address, prefix: str, offset: str | None) -> Iterator[Iterable[Mapping[str, Any]]]:
    """All below a folder. At the top of a volume lies the file system's own folder of lost files, which nobody but root
    can read, and at which the library gives up the whole: it is passed over."""
    if not (address.is_local and (address.local_path / _LOST).is_dir()):
        yield from obstore.list(address.store, prefix or None, offset=offset, chunk_size=1000)
        return
    top = obstore.list_with_delimiter(address.store, prefix or None)
    yield [each for each in top["objects"] if offset is None or each["path"] > offset]
    for folder in top["common_prefixes"]:
        if PurePosixPath(folder).name != _LOST:
            yield from obstore.list(address.store, folder, offset=offset, chunk_size=1000)


def _fetch_one(address: Address, size: int, target: Path, odd: Callable[[str], None] | None) -> bool:
    """Whether it was a file: an empty object that is listed without its slash and not there was a folder."""
    try:
        with translated(address.uri), AtomicFile(target) as file:
            for chunk in opened_at(address).chunks:
                file.write(chunk)
            file.commit()
    except ArtifactError as absent:
        if absent.reason != "NotFound":
            raise
        if size == 0:
            return False
        if odd is not None and "\ufffd" in address.key:  # in place of a character that XML can't carry
            odd(printable(address.key))
            return False
        hint = (
            "is listed and can't be asked for: its key ends in / or holds a character that listings don't carry, or it "
            "was removed just now; rename or remove the object"
        )
        raise error("Unsupported", address.uri, hint=hint) from None
    return True


def _create(address: Address, content: Path | bytes) -> None:
    try:
        obstore.put(address.store, address.key, content, mode="create", use_multipart=False)
    except Exception as caught:
        if not _lacks_conditional_put(caught):
            raise
        _refuse_existing(address)
        obstore.put(address.store, address.key, content)


def _lacks_conditional_put(caught: Exception) -> bool:
    return isinstance(caught, obstore.exceptions.NotSupportedError) or "501 Not Implemented" in str(caught)


def _refuse_existing(address: Address) -> None:
    if exists(address.uri):
        raise error("AlreadyExists", address.uri)


def _expect(uri: str, source: Source, sha256: str | None) -> None:
    """Raises ArtifactError DigestMismatch where the store's own word is enough to know."""
    if sha256 is None or source.sha256 in (None, sha256.lower()):
        return
    hint = f"is not the file that was pinned: expected sha256 {sha256.lower()}, the manifest has {source.sha256}"
    if source.packed:
        hint += f"; it is packed there ({source.packed}), and files are read as they are: push the file itself"
    raise error("DigestMismatch", uri, hint=hint)


def _verify(uri: str, got: Digest, sha256: str | None, size: int | None) -> None:
    if size is not None and got.size != size:
        at_least = "at least " if got.size > size else ""
        hint = f"is not the file that was pinned: expected {size} bytes, found {at_least}{got.size}"
        raise error("DigestMismatch", uri, hint=hint)
    if sha256 is not None and got.sha256 != sha256.lower():
        hint = f"is not the file that was pinned: expected sha256 {sha256.lower()}, found {got.sha256}"
        raise error("DigestMismatch", uri, hint=hint)
