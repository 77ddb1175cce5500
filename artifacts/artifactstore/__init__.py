"""Moves artifacts between object stores and disk, and trusts nothing that was not verified.

Shared by the images of trainer, agent and labeler, and copied into each. Everything public is listed in `__all__`;
what a caller gets back is a path, a `Digest` or an `ArtifactError`, never an exception of the library below.

Addresses are `s3://bucket/key`, `gs://bucket/key`, `az://container/key`, `https://host/path` and `file:///path`; single
files are also read from `oci://registry/repository@sha256:digest/file`. Credentials, endpoints and regions come from
the environment under the names each vendor's own tools use (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`,
`GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME`, `DOCKER_AUTH_CONFIG`, ...).
"""

from ._address import ARTIFACT, READABLE, WRITABLE, join
from ._errors import ArtifactError, Reason, printable
from ._files import Digest, ensure_room, file_digest
from ._folder import Folder
from ._parallel import in_parallel
from ._transfer import (
    Entry,
    digest,
    entries,
    exists,
    fetch_file,
    fetch_tree,
    folders,
    names,
    put_bytes,
    put_file,
    read_bytes,
    remove,
    remove_tree,
    scan,
    verify,
)

__all__ = [
    "ARTIFACT",
    "READABLE",
    "WRITABLE",
    "ArtifactError",
    "Digest",
    "Entry",
    "Folder",
    "Reason",
    "digest",
    "ensure_room",
    "entries",
    "exists",
    "fetch_file",
    "fetch_tree",
    "file_digest",
    "folders",
    "in_parallel",
    "join",
    "names",
    "printable",
    "put_bytes",
    "put_file",
    "read_bytes",
    "remove",
    "remove_tree",
    "scan",
    "verify",
]
