"""A training on other images than those that were checked does not go on."""

from __future__ import annotations

import pytest

from trainer.failure import Failure
from trainer.training import all_read


def test_what_ultralytics_drops_ends_the_run() -> None:
    all_read("val", 6, 6)
    with pytest.raises(Failure) as caught:
        all_read("val", 4, 6)
    assert (caught.value.reason, caught.value.exit_code) == ("DatasetInvalid", 64)
    assert caught.value.message.startswith(
        "ultralytics reads 4 of the 6 images of val that were checked; the pod's log"
    )
