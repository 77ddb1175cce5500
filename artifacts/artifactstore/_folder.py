"""One folder of a store that is written to again and again, over the same connections."""

from __future__ import annotations

import obstore

from ._address import WRITABLE, join, parse
from ._errors import error, translated

_LARGE = 16 << 20
"""Bytes: few objects are larger, such as the image of a camera."""


class Folder:
    """Puts small objects below `uri`, each in one request that is not repeated: when to try again, the caller decides.

    Raises ArtifactError Unsupported for an address that can't be written to. Opens no connection.
    """

    def __init__(self, uri: str) -> None:
        with translated(uri):
            self._address = parse(uri, once=True, sending=_LARGE)
        if self._address.scheme not in WRITABLE:
            raise error("Unsupported", uri, hint=f"can't be written to; use {', '.join(WRITABLE)}")
        self.uri = uri

    def put(self, name: str, data: bytes) -> None:
        """Write one object, over one that is there. Raises ArtifactError as `put_bytes`."""
        uri = join(self.uri, name)
        prefix = self._address.key.strip("/")
        with translated(uri):
            obstore.put(self._address.store, f"{prefix}/{name}" if prefix else name, data, use_multipart=False)
