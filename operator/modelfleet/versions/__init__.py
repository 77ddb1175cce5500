"""ModelVersions: which one a reference means, whether it is Ready, which tags are its, and who uses it."""

from modelfleet.versions.observe import controller, owners_of

__all__ = ["controller", "owners_of"]
