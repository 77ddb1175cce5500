"""ModelVersions: which one a reference means, whether it is Ready, which tags are its, and who uses it."""

from modelfleet.versions.observe import controller
from modelfleet.versions.watch import WATCHES

__all__ = ["WATCHES", "controller"]
