"""A container's variables, as the kubelet reads them. Pure."""

from typing import Any


def variable(name: str, value: str) -> dict[str, Any]:
    """A variable with just this value: the kubelet expands `$(NAME)`, and reads `$$` as a plain `$`."""
    return {"name": name, "value": value.replace("$", "$$")}
