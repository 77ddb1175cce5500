"""What is said to receivers: one value, made from an announcement and the object it is about. Pure.

Its id is made of the object's uid, the resourceVersion on which was decided, and the reason. A status is only ever
written on the resourceVersion that was decided on, so that two transitions never share an id; what is sent again keeps
its own.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from modelfleet.api.reasons.catalogue import topic_of
from modelfleet.decision import Announce, Manifest
from modelfleet.times import parse_time, wire_time
from modelfleet.wording import clip

_MAX_MESSAGE = 4096


@dataclass(frozen=True)
class Notification:
    """One thing that happened to one object.

    topic     what it is about (`Topic`), the end of the CloudEvent's type
    reason    the reason of the Event
    severity  Normal or Warning, as the Event's
    time      when it was decided (UTC)
    cluster   the name that the settings give the cluster; ""
    version   of the model, or of the Dataset, that is spoken of; of drift: that has drifted
    """

    id: str
    topic: str
    reason: str
    severity: str
    time: datetime
    cluster: str
    kind: str
    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    version: str | None
    message: str

    def to_dict(self) -> dict[str, Any]:
        """JSON values, for the outbox and for receivers."""
        return {**asdict(self), "time": wire_time(self.time, "milliseconds"), "labels": dict(self.labels)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Notification":
        """What `to_dict` gave. Raises KeyError, TypeError and ValueError for anything else."""
        fields = {name: data[name] for name in cls.__dataclass_fields__}
        return cls(**{**fields, "time": parse_time(fields["time"])})


def of(
    owner: Manifest, kind: str, announcements: Iterable[Announce], cluster: str, now: datetime
) -> tuple[Notification, ...]:
    """The notifications that one decision about `owner` makes. What is said with one reason becomes one of them."""
    metadata = owner["metadata"]
    said: dict[tuple[str, str], list[Announce]] = {}
    for each in announcements:
        topic = each.topic or topic_of(kind, each.reason)
        if topic is not None:
            said.setdefault((str(topic), str(each.reason)), []).append(each)
    return tuple(
        Notification(
            id=_id(metadata["uid"], metadata["resourceVersion"], topic, reason),
            topic=topic,
            reason=reason,
            severity="Warning" if any(each.type == "Warning" for each in all_of) else "Normal",
            time=now,
            cluster=cluster,
            kind=kind,
            namespace=metadata.get("namespace") or "",
            name=metadata["name"],
            uid=metadata["uid"],
            labels=dict(metadata.get("labels") or {}),
            version=next((each.version for each in all_of if each.version is not None), None),
            message=clip("\n".join(dict.fromkeys(each.message for each in all_of)), _MAX_MESSAGE),
        )
        for (topic, reason), all_of in said.items()
    )


def _id(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
