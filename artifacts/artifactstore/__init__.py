"""Moves artifacts between object stores and disk, and trusts nothing that was not verified.

Shared by the trainer image and the agent image, and copied into both. Everything public is listed in `__all__`;
what a caller gets back is a path, a `Digest` or an `ArtifactError`, never an exception of the library below.

Addresses are `s3://bucket/key`, `gs://bucket/key`, `az://container/key`, `https://host/path` and `file:///path`.
Credentials, endpoints and regions come from the environment under the names each vendor's own tools use
(`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME`, ...).
"""

from ._address import READABLE, WRITABLE, join
from ._errors import ArtifactError, Reason
from ._files import Digest, ensure_room, file_digest
from ._transfer import (
    digest,
    exists,
    fetch_file,
    fetch_tree,
    names,
    put_bytes,
    put_file,
    read_bytes,
    remove,
    remove_tree,
    verify,
)

__all__ = [
    "READABLE",
    "WRITABLE",
    "ArtifactError",
    "Digest",
    "Reason",
    "digest",
    "ensure_room",
    "exists",
    "fetch_file",
    "fetch_tree",
    "file_digest",
    "join",
    "names",
    "put_bytes",
    "put_file",
    "read_bytes",
    "remove",
    "remove_tree",
    "verify",
]
