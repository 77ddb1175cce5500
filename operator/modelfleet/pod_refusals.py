"""Why a controller of Kubernetes creates no pod for what it has to: its own words, from the Events that it posts.

They stand nowhere else: what the API server refuses it (a quota, Pod Security, an admission policy, a missing priority
class) shows in no status. Events are not watched, since a cluster has many; they are read while a pod is missing.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from modelfleet.api.reasons import Reason
from modelfleet.kinds import EVENT, JOB, Key, Kind
from modelfleet.kube import ApiError, Client
from modelfleet.times import parse_optional_time
from modelfleet.wording import clip
from modelfleet.workloads.job_run import JobRun
from modelfleet.workloads.pods import Problem

log = logging.getLogger(__name__)

_LONGEST = 500
_PREFIX = "Error creating: "
_GENERATED = re.compile(r'(pods "[^"]*-)[bcdfghjklmnpqrstvwxz2456789]{5}"')
"""What Kubernetes puts at the end of a pod's name: another with each try, and the status would be written with each."""

Run = TypeVar("Run", bound=JobRun)


async def said(client: Client, kind: Kind, key: Key, uid: str, since: datetime | None = None) -> str:
    """What the controller of this object said last, not before `since`; empty where it said nothing, or its Events
    can't be read."""
    fields = f"involvedObject.uid={uid},reason=FailedCreate"
    try:
        found = await client.list(EVENT, key.namespace, fields=fields)
    except ApiError as error:
        log.warning("could not read the events of %s %s: %s", kind.kind, key, error.message)
        return ""
    return newest(found.items if since is None else [each for each in found.items if _when(each) >= since])


async def explained(run: Run, namespace: str, client: Client, now: datetime) -> Run:
    """The Job; where none of its pods was created, with the Job controller's words for it."""
    if not run.makes_no_pod(now):
        return run
    words = await said(client, JOB, Key(namespace, run.name), run.uid)
    if not words:
        return run
    return replace(run, problem=Problem(Reason.NO_PODS, f"No pod was created: {words.rstrip('.')}"))


def newest(events: Iterable[Mapping[str, Any]]) -> str:
    """What the newest of these Events says; empty where there is none."""
    last = max(events, key=_when, default=None)
    if last is None:
        return ""
    return clip(_GENERATED.sub(r'\1…"', str(last.get("message") or "").removeprefix(_PREFIX)), _LONGEST)


def _when(event: Mapping[str, Any]) -> datetime:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    known = [
        parsed for each in (*times, event["metadata"].get("creationTimestamp")) if (parsed := parse_optional_time(each))
    ]
    return max(known)
