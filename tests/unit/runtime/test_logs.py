"""When the log of a container is over, and when it is forgotten."""

import pytest

from modelfleet.kinds import NODE, POD
from modelfleet.runtime.logs import container_ended, forgetting
from unit.kube.raw import obj


def pod(phase="Running", restart="Never", **state):
    return obj(
        POD,
        "p",
        1,
        spec={"restartPolicy": restart},
        status={"phase": phase, "containerStatuses": [{"name": "side", "state": {}}, {"name": "main", "state": state}]},
    )


def another(pod):
    return {**pod, "metadata": {**pod["metadata"], "uid": "another"}}


@pytest.mark.parametrize(
    ("of", "ended"),
    [
        (None, True),
        (pod(running={}), False),
        (pod(waiting={"reason": "ContainerCreating"}), False),
        (pod(terminated={"exitCode": 0}), True),
        (pod(terminated={"exitCode": 1}, restart="Always"), False),
        (pod("Failed", running={}), True),
        (pod("Succeeded"), True),
        (another(pod(running={})), True),
        (obj(POD, "p", 1), False),
    ],
)
def test_container_that_will_write_no_more(of, ended):
    assert container_ended(of, "uid-p", "main") is ended


class Logs:
    def __init__(self):
        self.forgotten = []

    def forget(self, uid):
        self.forgotten.append(uid)


@pytest.mark.parametrize(
    ("kind", "before", "now", "forgotten"),
    [
        (POD, None, pod(), []),
        (POD, pod(), pod("Succeeded"), []),
        (POD, pod(), None, ["uid-p"]),
        (POD, pod(), another(pod()), ["uid-p"]),
        (NODE, obj(NODE, "p", 1), None, []),
    ],
)
def test_the_log_of_a_pod_that_is_gone_is_forgotten(kind, before, now, forgotten):
    logs = Logs()
    forgetting(logs)(kind, before, now)
    assert logs.forgotten == forgotten
