"""Every capability has the same front: who knows one of them finds the way in the others."""

from pathlib import Path

import pytest

from modelfleet.main import CAPABILITIES
from modelfleet.runtime import Capability

ROOMS = {"decide", "manifests", "observe", "snapshot", "status", "watch"}


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda capability: capability.__name__)
def test_a_capability_has_the_same_rooms_as_the_others_and_one_door(capability: Capability) -> None:
    [folder] = capability.__path__
    assert {path.stem for path in Path(folder).glob("*.py")} >= ROOMS
    assert set(capability.__all__) == {"WATCHES", "controller"}
