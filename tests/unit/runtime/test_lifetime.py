"""The start of the operator, as far as it needs no cluster."""

import gc
import types

import pytest

from modelfleet.decision import Decision
from modelfleet.kinds import TRAINING_JOB
from modelfleet.kube import ApiError
from modelfleet.reconcile import Controller
from modelfleet.runtime import Operator
from modelfleet.settings import Images, Server, Settings
from unit.kube.apiserver import ApiServer

SETTINGS = Settings(images=Images(trainer="t", agent="a", labeler="l"), server=Server(address="127.0.0.1", port=0))


@pytest.fixture(autouse=True)
def _collector():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


async def test_the_start_is_refused_where_two_capabilities_have_a_controller_of_one_kind(tmp_path):
    async def observe(key):
        return None

    twin = types.SimpleNamespace(
        WATCHES=(), controller=lambda deps: Controller(TRAINING_JOB, observe, lambda snapshot, now: Decision())
    )
    operator = Operator(SETTINGS, ApiServer(port=1).kubeconfig(tmp_path), "1", (twin, twin))
    with pytest.raises(ValueError, match="more than one capability has a controller of TrainingJob"):
        await operator.run()


async def test_the_start_is_refused_without_credentials(tmp_path):
    with pytest.raises(ApiError, match="credentials"):
        await Operator(SETTINGS, tmp_path / "none", "1", ()).run()
