"""Fetching, putting, reading back and removing. Each function bounds its retries and raises ArtifactError only."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import obstore

from ._address import Address, parse
from ._errors import ArtifactError, error, translated
from ._files import CHUNK, AtomicFile, Digest, ensure_room, of_chunks

if TYPE_CHECKING:
    from obstore import GetResult

_PARALLEL = 8
# The largest object the stores take in one request. Only one request can be made conditional.
_SINGLE_PUT_LIMIT = 5 * 1000**3


def fetch_file(uri: str, destination: Path, *, sha256: str | None = None, size: int | None = None) -> Digest:
    """Downloads one object to `destination`, verified before it appears there, and returns its digest.

    Raises ArtifactError: DigestMismatch when `sha256` or `size` is given and differs (nothing is left behind),
    NotFound, AccessDenied, Unreachable, Unsupported, DiskFull (told before the download, by the size the store names).
    """
    address = parse(uri)
    with translated(uri), AtomicFile(destination) as file:
        result = obstore.get(address.store, address.key)
        ensure_room(destination.parent, result.meta["size"], uri)
        for chunk in _streamed(result):
            file.write(chunk)
            if size is not None and file.size > size:
                break  # a wrong, endless file need not fill the disk
        got = file.digest()
        _verify(uri, got, sha256, size)
        file.commit()
    return got


def fetch_tree(uri: str, destination: Path) -> list[Path]:
    """Downloads everything below the folder `uri` into `destination` and returns the files, sorted.

    Names of objects never lead out of `destination`. Raises as `fetch_file`; NotFound when the folder is empty,
    Unsupported for https, which has no listing.
    """
    address = parse(uri)
    if address.scheme == "https":
        raise error("Unsupported", uri, hint="can't be listed: https has no folders; give an archive (.tar, .zip)")
    if address.is_local and not address.local_path.is_dir():
        raise error("NotFound", uri, hint="is not a folder")
    prefix = address.key.strip("/")
    jobs: list[tuple[Address, Path]] = []
    total = 0
    with translated(uri):
        for batch in obstore.list(address.store, prefix or None):
            for found in batch:
                relative = PurePosixPath(found["path"]).relative_to(prefix or ".")
                target = destination / relative
                if not target.resolve().is_relative_to(destination.resolve()):
                    raise error(
                        "Unsupported", uri, hint=f"holds the name {str(relative)!r}, which leads out of the folder"
                    )
                total += found["size"]
                jobs.append(
                    (Address(f"{uri.rstrip('/')}/{relative}", address.scheme, address.store, found["path"]), target)
                )
    if not jobs:
        raise error("NotFound", uri, hint="holds nothing; check the address")
    ensure_room(destination, total, uri)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        for future in [pool.submit(_fetch_one, *job) for job in jobs]:
            try:
                future.result()
            except ArtifactError:
                pool.shutdown(cancel_futures=True)
                raise
    return sorted(target for _, target in jobs)


def put_file(path: Path, uri: str, *, overwrite: bool = False) -> Digest:
    """Uploads `path`; without `overwrite` only where nothing is yet, decided by the store itself in one request.

    A store without conditional writes is asked first, which leaves a moment in which two writers may both win.
    Raises ArtifactError: AlreadyExists (also when a lost answer made our own first try look foreign: compare
    digests), AccessDenied, NotFound (no such bucket), Unreachable, Unsupported, DiskFull.
    """
    address = parse(uri)
    with translated(uri):
        size = path.stat().st_size
        if overwrite:
            obstore.put(address.store, address.key, path, chunk_size=16 * CHUNK, max_concurrency=4)
        elif size > _SINGLE_PUT_LIMIT:
            _refuse_existing(address)
            obstore.put(address.store, address.key, path, chunk_size=64 * CHUNK, max_concurrency=4)
        else:
            _create(address, path)
        with path.open("rb") as file:
            return of_chunks(iter(lambda: file.read(CHUNK), b""))


def put_bytes(data: bytes, uri: str, *, overwrite: bool = False) -> Digest:
    """`put_file` for content in memory."""
    address = parse(uri)
    with translated(uri):
        if overwrite:
            obstore.put(address.store, address.key, data)
        else:
            _create(address, data)
    return of_chunks([data])


def read_bytes(uri: str, *, limit: int = 16 * CHUNK) -> bytes:
    """The content of one small object. Raises as `fetch_file`; Unsupported when it is larger than `limit` bytes."""
    data = bytearray()
    with translated(uri):
        for chunk in _chunks(parse(uri)):
            data += chunk
            if len(data) > limit:
                raise error("Unsupported", uri, hint=f"is larger than the {limit} bytes expected here")
    return bytes(data)


def digest(uri: str) -> Digest:
    """Reads the object back from its store, in pieces, and digests what came. Raises as `fetch_file`."""
    with translated(uri):
        return of_chunks(_chunks(parse(uri)))


def verify(uri: str, *, sha256: str, size: int) -> Digest:
    """Reads the object back from its store, in pieces that are not kept, and compares its digest and size.

    Raises ArtifactError: DigestMismatch, and as `fetch_file`. No more is read of a file than shows that it is too long.
    """
    with translated(uri):
        got = of_chunks(_up_to(size, _chunks(parse(uri))))
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


def names(uri: str) -> list[str]:
    """Names of all objects below the folder `uri`, relative to it, sorted; empty when there is no such folder.

    Raises ArtifactError AccessDenied, NotFound (no such bucket), Unreachable, Unsupported (https has no listing).
    """
    address = parse(uri)
    if address.scheme == "https":
        raise error("Unsupported", uri, hint="can't be listed: https has no folders")
    if address.is_local and not address.local_path.is_dir():
        return []
    prefix = address.key.strip("/")
    with translated(uri):
        found = [entry["path"] for batch in obstore.list(address.store, prefix or None) for entry in batch]
    return sorted(str(PurePosixPath(path).relative_to(prefix or ".")) for path in found)


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
        remove(f"{uri.rstrip('/')}/{name}")


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


def _chunks(address: Address) -> Iterator[bytes]:
    yield from _streamed(obstore.get(address.store, address.key))


def _streamed(result: GetResult) -> Iterator[bytes]:
    # the library resumes a broken stream by range, from the same entity tag, within its retry limits
    for chunk in result.stream(min_chunk_size=CHUNK):
        yield bytes(chunk)


def _up_to(size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks, until they are more than `size` bytes: a wrong, endless file need not be read to its end."""
    read = 0
    for chunk in chunks:
        yield chunk
        read += len(chunk)
        if read > size:
            return


def _fetch_one(address: Address, target: Path) -> None:
    with translated(address.uri), AtomicFile(target) as file:
        for chunk in _chunks(address):
            file.write(chunk)
        file.commit()


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


def _verify(uri: str, got: Digest, sha256: str | None, size: int | None) -> None:
    if size is not None and got.size != size:
        at_least = "at least " if got.size > size else ""
        hint = f"is not the file that was pinned: expected {size} bytes, found {at_least}{got.size}"
        raise error("DigestMismatch", uri, hint=hint)
    if sha256 is not None and got.sha256 != sha256.lower():
        hint = f"is not the file that was pinned: expected sha256 {sha256.lower()}, found {got.sha256}"
        raise error("DigestMismatch", uri, hint=hint)
