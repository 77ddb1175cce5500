"""The demo's chapters, in order: each acts as a user would, then waits for what must come of it, or raises StoryFailed.

The chapters are the end-to-end test as well: `demo.py` narrates them for people, `test_demo.py` runs them in CI.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from rich.console import RenderableType
from rich.text import Text

from e2e import dashboards, views
from e2e.borrowed.cluster import BorrowedCluster
from e2e.dataset import DUSK, QUIET
from e2e.operator_chart import install
from e2e.reviewer import review
from e2e.story import Story, StoryFailed
from e2e.world import NODES, TRAINING_NODE, Object, World, place_frames, upload_dataset
from harness import everything, images

MODEL, ROLLOUT, CANARY_GROUP, FLEET_GROUP, DATASET = "parts-detector", "line", "canary", "fleet", "parts"


@dataclass(frozen=True)
class Chapter:
    """A step of the story: its title, how long it usually takes, and what it does."""

    title: str
    expected: str
    run: Callable[[World, Story], None]


def build(world: World, story: Story) -> None:
    """Binaries from Go modules beside images from Debian and PyPI packages; everything is cached by content."""
    world.images.update({name: ref.name for name, ref in everything.build().items()})
    for name, image in world.images.items():
        story.say(f"image {name}: {image}")


def start_cluster(world: World, story: Story) -> None:
    """Control plane, four nodes with their images, object store, Prometheus, Label Studio."""
    world.cluster.start()
    edge = (images.ensure("agent"),)
    training = tuple(images.ensure(name) for name in ("operator", "trainer", "labeler"))
    for name, labels in NODES.items():
        world.cluster.add_node(name, labels=dict(labels), images=training if name == TRAINING_NODE else edge)
    world.cluster.kubectl("create", "namespace", world.namespace)
    # frames lie on the nodes, and a pod that reads there is an administrator's to allow
    world.cluster.kubectl("label", "namespace", world.namespace, "modelfleet.dev/pod-privileges=host")
    story.say(world.kubectl("get", "nodes", "-L", "modelfleet.dev/role,modelfleet.dev/group").rstrip())


def borrow_cluster(world: World, story: Story) -> None:
    """Object store, Prometheus and Label Studio as pods, in a namespace of the demo's own."""
    assert isinstance(world.cluster, BorrowedCluster)
    taken = world.cluster.look()
    world.edge = taken.nodes
    world.cluster.start(taken, world.images["demo"], world.images["agent"])
    story.say(world.kubectl("get", "nodes", "-L", "modelfleet.dev/role,modelfleet.dev/group").rstrip())
    story.say(world.kubectl("get", "pods,services").rstrip())


def install_operator(world: World, story: Story) -> None:
    """The chart, as a user installs it; the operator runs as a pod."""
    story.say(install(world))


def prepare_data(world: World, story: Story) -> None:
    """Datasets in the object store, frames on the edge nodes, credentials in a Secret."""
    store = world.cluster.object_store
    for bucket in ("data", "models", "captures"):
        store.create_bucket(bucket)
    s3 = (
        f"--from-literal=AWS_ENDPOINT_URL={store.endpoint}",
        f"--from-literal=AWS_ACCESS_KEY_ID={store.access_key}",
        f"--from-literal=AWS_SECRET_ACCESS_KEY={store.secret_key}",
        "--from-literal=AWS_ALLOW_HTTP=true",
        "--from-literal=AWS_REGION=us-east-1",
    )
    # One and the same user here, since this store has no other; in production the nodes' may only write captures.
    for name in ("object-store", "captures-write"):
        world.kubectl("create", "secret", "generic", name, *s3)
    token = f"--from-literal=token={world.cluster.label_studio.token}"
    world.kubectl("create", "secret", "generic", "label-studio", token)
    upload_dataset(world, "parts-holdout", images=300, seed=7)
    upload_dataset(world, "parts-1", images=160, seed=11)
    upload_dataset(world, "parts-2", images=200, seed=22)
    upload_dataset(world, "parts-3", images=160, seed=33, drop_class="washer")
    story.say("a holdout of 300 pictures and three datasets; in the third, every label of the class `washer` is lost")
    for seed, node in enumerate(world.edge, start=101):
        place_frames(world, node, seed=seed)
    story.say("150 production frames on each edge node, different on each")


def train_v1(world: World, story: Story) -> None:
    """A Scratch TrainingJob becomes the ModelVersion v1."""
    _train(world, story, "1-train-v1.yaml", "v1")


def install_v1(world: World, story: Story) -> None:
    """The Rollout brings v1 to all edge nodes, canary first. While the gate watches the last, v2 begins to train."""
    story.say(world.apply("2-rollout.yaml"))
    meanwhile = _once(_watched_on_the_fleet("v1"), lambda: story.say(world.apply("3-train-v2.yaml")))
    _roll_out(world, story, "v1", timeout=420, look=meanwhile)


def train_v2(world: World, story: Story) -> None:
    """A FineTune TrainingJob from v1 becomes v2."""
    _train(world, story, "3-train-v2.yaml", "v2")


def promote_v2(world: World, story: Story) -> None:
    """v2 goes to the canary, passes there on production confidence, and reaches the fleet: then v3 begins to train."""
    meanwhile = _once(_watched_on_the_fleet("v2"), lambda: story.say(world.apply("4-train-v3.yaml")))
    rollout = _roll_out(world, story, "v2", timeout=600, look=meanwhile)
    judged = f"v2 on group {CANARY_GROUP} is no worse than v1"
    verdicts = [e["message"] for e in world.items("events") if e["reason"] == "GatePassed"]
    compared = [message for message in verdicts if message.startswith(judged)]
    expect(bool(compared), f"no gate compared v2 with v1 on the canary and passed it; gates passed: {verdicts}")
    story.say(compared[0])
    entry = rollout["status"]["history"][0]
    expect(entry["version"] == "v2" and entry["result"] == "Promoted", f"the newest history entry is {entry}")


def train_v3(world: World, story: Story) -> None:
    """A TrainingJob on damaged data whose own validation looks fine becomes v3."""
    _train(world, story, "4-train-v3.yaml", "v3")
    map50 = float(world.get("modelversion", f"{MODEL}-v3")["spec"]["metrics"]["map50"])
    story.say(f"its own validation says mAP50 {map50:.2f}: by that measure it is a good model")
    expect(map50 > 0.8, f"v3 should look fine on its own validation data, but has mAP50 {map50}")


def roll_back_v3(world: World, story: Story) -> None:
    """v3 reaches the canary alone, is failed by the gate, rolled back and quarantined."""

    def ended(rollout: Object) -> bool:
        quarantined = {entry["version"] for entry in rollout["status"].get("quarantined", ())}
        stalled = views.condition(rollout, "Stalled")
        return "v3" in quarantined and stalled.get("reason") == "RolledBack" and _runs(world, "v2")

    def forbid(rollout: Object) -> None:
        strayed = [pod for pod in _pods(world) if _version(pod) == "v3" and pod["spec"].get("nodeName") in world.fleet]
        expect(not strayed, f"v3 reached the fleet: {[pod['spec']['nodeName'] for pod in strayed]}")

    rollout = _follow(world, story, "the rollback of v3", ended, timeout=480, look=forbid)
    story.say(views.condition(rollout, "Stalled")["message"])
    expect(rollout["status"]["stableVersion"] == "v2", f"stable is {rollout['status']['stableVersion']}")
    templates = [revision for revision in _templates_of(world, f"{ROLLOUT}-{FLEET_GROUP}") if "v3" in revision]
    expect(not templates, "the fleet's DaemonSet has had a template with v3")
    canary = _templates_of(world, f"{ROLLOUT}-{CANARY_GROUP}")
    expect(any("v3" in revision for revision in canary), "the canary never ran v3")
    story.say("the fleet's DaemonSet never had a template with v3 (its ControllerRevisions say so)")


def watch_v2(world: World, story: Story) -> None:
    """spec.drift: what v2 has shown since it became stable is in Prometheus, and is the baseline."""
    story.say(world.apply("5-watch-for-drift.yaml"))
    drift = _watch(world, story, "a baseline of v2", lambda drift: drift.get("state") == "Steady", timeout=400)
    story.say(drift["message"])


def halve_the_traffic(world: World, story: Story) -> None:
    """Half as many objects before every camera, and all else as it was: seen, and not called drift."""
    for seed, node in enumerate(world.edge, start=201):
        place_frames(world, node, seed=seed, scene=QUIET)

    def seen(drift: Object) -> bool:
        rate = next((float(s.get("change", 0)) for s in drift["signals"] if s["name"] == "detection-rate"), 0.0)
        return rate <= -0.2

    def forbid(drift: Object) -> None:
        expect(drift.get("state") != "Drifting", f"less traffic was called drift: {drift['message']}")

    drift = _watch(world, story, "a fifth fewer detections", seen, timeout=420, look=forbid)
    story.say(drift["message"])
    expect(not _retrainings(world), "less traffic led to a training")
    for seed, node in enumerate(world.edge, start=101):
        place_frames(world, node, seed=seed)


def change_the_scene(world: World, story: Story) -> None:
    """Dusk falls on another background, on all edge nodes: drift is declared, and there is nothing to train on yet."""
    upload_dataset(world, "parts-dusk-holdout", images=150, seed=77, scene=DUSK)
    story.say(f"share of low confidences before: {_low_share(world):.2f}")
    for seed, node in enumerate(world.edge, start=301):
        place_frames(world, node, seed=seed, scene=DUSK)
    drift = _watch(world, story, "drift", lambda drift: drift.get("state") == "Drifting", timeout=600)
    story.say(drift["message"])
    story.say(f"share of low confidences now: {_low_share(world):.2f}")
    detected = views.condition(world.get("rollout", ROLLOUT), "DriftDetected")
    expect(detected.get("status") == "True", f"the condition DriftDetected is {detected}")
    held = (drift.get("retrain") or {}).get("message", "")
    story.say(f"the retraining waits: {held}")
    expect(not _retrainings(world), "a training was created before there was anything new to train on")


def label(world: World, story: Story) -> None:
    """Frames that the nodes captured are asked about in Label Studio, corrected there, and become a dataset version."""
    studio = world.cluster.label_studio
    story.say(world.apply_with("6-dataset.yaml", "http://label-studio:8080", studio.url))
    asked = _dataset(world, story, "questions in Label Studio", lambda status: status.get("inReview", 0) >= 50)
    story.say(f"{asked['inReview']} frames of the nodes are in {studio.url} with the boxes that v2 has drawn")
    image = partial(_captured, world)
    corrected = review(studio.here, studio.token, DATASET, world.truth, image)
    story.say(f"a stand-in for the people, which knows the scenes it drew, has corrected {corrected} of them")
    story.say(world.kubectl("annotate", "dataset", DATASET, "modelfleet.dev/sync=now@1").strip())
    made = _dataset(world, story, "a dataset version", lambda status: status.get("latest") is not None)
    newest = made["latest"]
    story.say(
        f"version {newest['number']}: {newest['images']} images, {newest['uri']}, sha256 {newest['sha256'][:12]}…"
    )
    share = float(made["editedShare"])
    story.say(f"people changed something on {share:.0%} of the frames")
    expect(share > 0, "no frame of the new scene had to be corrected")


def recover(world: World, story: Story) -> None:
    """The training runs on its own, its version passes on the canary and reaches the fleet, and confidence is back."""
    worse = _low_share(world)
    job, version = f"{ROLLOUT}-r1", f"{ROLLOUT}-r1"
    story.wait(f"TrainingJob {job}", lambda: _ended(world, job), timeout=1500)
    made = world.get("modelversion", f"{MODEL}-{version}")
    story.say(f"its lineage says: {made['spec']['lineage']['retrainedFor']['cause']}")
    _roll_out(world, story, version, timeout=600)
    expect(_retrainings(world) == [job], f"there should be one training, and are {_retrainings(world)}")
    newest = world.get("dataset", DATASET)["status"]["latest"]
    sources = made["spec"]["lineage"]["dataset"]["sources"]
    pinned = [source for source in sources if source["sha256"] == newest["sha256"]]
    expect(len(pinned) == 1, f"the lineage should name dataset version {newest['number']} by its digest: {sources}")

    def restored() -> tuple[float | None, RenderableType, str]:
        share = _low_share(world)
        line = f"share of low confidences: {share:.2f}, with v2 it was {worse:.2f}"
        return (share if share < worse / 2 else None), Text(line), line

    story.say(f"share of low confidences again: {story.wait('confidence', restored, timeout=180):.2f}")


def look_at_dashboards(world: World, story: Story) -> None:
    """Each panel of the dashboards has shown something of all this, but for what the demo has nothing of."""
    empty = dashboards.silent(dashboards.story_until(time.time(), world.cluster.prometheus.here))
    expect(not empty, "these panels show nothing:\n" + "\n".join(empty))
    story.say("each panel shows something, but for those of what the demo has nothing of:")
    for series, why in dashboards.WITHOUT.items():
        story.say(f"  {series}: {why}")


CHAPTERS: tuple[Chapter, ...] = (
    Chapter("Build what is not cached: Kubernetes, tools, images", "seconds; 20 to 30 min on a fresh machine", build),
    Chapter("Start a cluster with four real nodes", "2 min", start_cluster),
    Chapter("Install the operator with its chart", "30 s", install_operator),
    Chapter("Put data into the object store and frames onto the nodes", "10 s", prepare_data),
    Chapter("Train v1 from scratch", "3 min", train_v1),
    Chapter("Install v1 on all edge nodes", "2 min", install_v1),
    Chapter("Train v2 from v1", "2 min", train_v2),
    Chapter("v2 passes on the canary and reaches the fleet", "2 min", promote_v2),
    Chapter("Train v3 on quietly damaged data", "2 min", train_v3),
    Chapter("v3 is failed by the gate and rolled back", "2 min", roll_back_v3),
    Chapter("Watch v2 for drift", "1 min", watch_v2),
    Chapter("Half the traffic is no drift", "2 min", halve_the_traffic),
    Chapter("The scene changes: drift is declared", "2 min", change_the_scene),
    Chapter("Captured frames are corrected in Label Studio and become a dataset version", "1 min", label),
    Chapter("A version is trained on them, promoted, and confidence is back", "5 min", recover),
    Chapter("A look at the dashboards", "10 s", look_at_dashboards),
)
_BORROW = Chapter("Start object store, Prometheus and Label Studio in the cluster", "1 min", borrow_cluster)
BORROWED: tuple[Chapter, ...] = (_BORROW, *CHAPTERS[2:])


def expect(fact: bool, otherwise: str) -> None:
    """Raise StoryFailed(otherwise) unless `fact`."""
    if not fact:
        raise StoryFailed(otherwise)


def _train(world: World, story: Story, manifest: str, version: str) -> None:
    """Apply the manifest, unless an earlier chapter has, and wait for the version."""
    story.say(world.apply(manifest))
    name = f"{MODEL}-{version}"

    story.wait(f"TrainingJob {name}", lambda: _ended(world, name), timeout=1500)
    metrics = world.get("modelversion", name)["spec"]["metrics"]
    story.say(f"ModelVersion {name}: " + ", ".join(f"{key} {value}" for key, value in metrics.items()))
    message = story.wait(f"the verification of {name}", lambda: _verified(world, name), timeout=120)
    story.say(f"a short Job read its files back from the object store: {message}")


def _verified(world: World, name: str) -> tuple[str | None, RenderableType, str]:
    ready = views.condition(world.get("modelversion", name), "Ready")
    message = ready.get("message", "not looked at yet")
    done = ready.get("status") == "True"
    expect(not done or "verified at the source" in message, f"{name} is Ready and was not verified: {message}")
    return (message if done else None, Text(message), message)


def _watched_on_the_fleet(version: str) -> Callable[[Object], bool]:
    """Whether nothing but the soak of the last group is left of this version's rollout.

    No earlier: the Rollout turns to what the next training makes, and that took 76 s once, less than a whole rollout.
    """

    def due(rollout: Object) -> bool:
        at = [rollout["status"].get(name) for name in ("candidateVersion", "currentGroup", "phase")]
        return at == [version, FLEET_GROUP, "Soaking"]

    return due


def _once(due: Callable[[Object], bool], act: Callable[[], None]) -> Callable[[Object], None]:
    """A look at the Rollout that acts the first time it is due: what needs no rollout goes on beside one."""
    left = [act]

    def look(rollout: Object) -> None:
        if left and due(rollout):
            left.pop()()

    return look


def _roll_out(
    world: World,
    story: Story,
    version: str,
    *,
    timeout: float,
    look: Callable[[Object], None] | None = None,
) -> Object:
    def ended(rollout: Object) -> bool:
        refused = [e["reason"] for e in rollout["status"].get("quarantined", ()) if e["version"] == version]
        expect(not refused, f"{version} was refused: {', '.join(refused)}")
        ready = views.condition(rollout, "Ready").get("status") == "True"
        return ready and rollout["status"].get("stableVersion") == version and _runs(world, version)

    return _follow(world, story, f"{version} on the whole fleet", ended, timeout=timeout, look=look)


def _ended(world: World, name: str) -> tuple[Object | None, RenderableType, str]:
    found = world.find("trainingjob", name)
    if found is None:
        return None, Text("not created yet"), "not created yet"
    failed = views.condition(found, "Failed")
    expect(failed.get("status") != "True", f"TrainingJob {name} failed: {failed.get('message')}")
    done = views.condition(found, "Complete").get("status") == "True"
    return (found if done else None, *views.training(found))


def _watch(
    world: World,
    story: Story,
    what: str,
    ended: Callable[[Object], bool],
    *,
    timeout: float,
    look: Callable[[Object], None] | None = None,
) -> Object:
    def show() -> tuple[Object | None, RenderableType, str]:
        drift = world.get("rollout", ROLLOUT)["status"].get("drift") or {}
        if look is not None:
            look(drift)
        return (drift if drift and ended(drift) else None, *views.drift(drift))

    return story.wait(what, show, timeout=timeout)


def _dataset(world: World, story: Story, what: str, ended: Callable[[Object], bool]) -> Object:
    """Wait for something in the Dataset's status."""

    def show() -> tuple[Object | None, RenderableType, str]:
        found = world.get("dataset", DATASET)
        status, ready = found.get("status", {}), views.condition(found, "Ready")
        stalled = views.condition(found, "Stalled")
        expect(not stalled, f"Dataset {DATASET} is stuck: {stalled.get('message')}")
        line = ready.get("message", "not looked at yet")
        return (status if ended(status) else None, Text(line), line)

    return story.wait(what, show, timeout=300)


def _captured(world: World, key: str) -> bytes:
    return world.cluster.object_store.get("captures", f"line/{key}")


def _retrainings(world: World) -> list[str]:
    return [job["metadata"]["name"] for job in world.items("trainingjobs", f"modelfleet.dev/rollout={ROLLOUT}")]


def _low_share(world: World) -> float:
    """The share of detections with a confidence of at most 0.5 on all edge nodes, over the last half minute."""
    counts = [f'sum(increase(modelfleet_detection_confidence_bucket{{le="{le}"}}[30s]))' for le in ("0.5", "+Inf")]
    ((_, share),) = world.cluster.prometheus.query(f"{counts[0]} / {counts[1]}")
    return share


def _follow(
    world: World,
    story: Story,
    what: str,
    ended: Callable[[Object], bool],
    *,
    timeout: float,
    look: Callable[[Object], None] | None = None,
) -> Object:
    def show() -> tuple[Object | None, RenderableType, str]:
        rollout = world.get("rollout", ROLLOUT)
        if look is not None:
            look(rollout)
        return (rollout if ended(rollout) else None, *views.fleet(rollout, _pods(world)))

    found = story.wait(what, show, timeout=timeout)
    story.console.print(views.fleet(found, _pods(world))[0])
    return found


def _pods(world: World) -> list[Object]:
    return world.items("pods", f"modelfleet.dev/rollout={ROLLOUT}")


def _version(pod: Object) -> str:
    return str(pod["metadata"]["labels"].get("modelfleet.dev/version"))


def _runs(world: World, version: str) -> bool:
    """Whether every edge node has a ready pod of that version, and none of another."""
    pods = _pods(world)
    ready = {p["spec"].get("nodeName") for p in pods if views.condition(p, "Ready").get("status") == "True"}
    return ready >= set(world.edge) and all(_version(pod) == version for pod in pods)


def _templates_of(world: World, daemon_set: str) -> Iterator[str]:
    """The version label of every template the DaemonSet has ever had, as its own ControllerRevisions recorded them."""
    for revision in world.items("controllerrevisions"):
        owners = revision["metadata"].get("ownerReferences", ())
        if any(owner["kind"] == "DaemonSet" and owner["name"] == daemon_set for owner in owners):
            template = revision["data"]["spec"]["template"]
            yield template["metadata"]["labels"]["modelfleet.dev/version"]
