"""The signature of a version's files, where one is demanded: how pods of the agent image are told of it. Pure."""

FILE = "model.sig"
"""As OpenSSF model-signing makes it; it lies beside the version's files."""


def demanded(folder: str, public_keys: str) -> dict[str, str]:
    """Where the signature of the files in a folder is, and the keys (PEM) of which one must have made it."""
    return {"uri": f"{folder.rstrip('/')}/{FILE}", "keys": public_keys}
