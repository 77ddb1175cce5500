"""The model training starts from, in the four modes, and how much of the parent it really holds.

Counting happens before training: a run that would quietly start from noise ends here, not after a hundred epochs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import artifactstore
from artifactstore import ArtifactError
from trainer.failure import Failure, from_artifact
from trainer.run import Mode, ModelReference, Weights

if TYPE_CHECKING:
    from torch import Tensor
    from ultralytics.nn.tasks import DetectionModel

# Continue and FineTune mean "the parent, trained on": less than half of it is another model. Transfer takes what fits
# into another architecture, and between the scales of one family that is little (yolo11n to yolo11s: 1.3 %).
MINIMUM_SHARE: Mapping[Mode, float] = {"Scratch": 0.0, "Continue": 0.5, "FineTune": 0.5, "Transfer": 0.01}

_SHOWN = 5  # classes in a message
NAMED = 100  # classes in a report of what changed


_REFUSED = re.compile(r"GLOBAL (\S+)")  # in what torch says of a pickle that names more than data


@dataclass(frozen=True)
class Origin:
    """What the file that a training started from says of itself; `mismatch` is how its ModelVersion says otherwise."""

    architecture: str
    classes: tuple[str, ...]
    mismatch: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"classes": list(self.classes)}

    @staticmethod
    def from_json(value: Mapping[str, Any] | None) -> Origin | None:
        """What a checkpoint of ours keeps; None also for one that was written before there was anything to keep."""
        if value is None:
            return None
        return Origin(value["architecture"], tuple(value["classes"]), value["mismatch"])


@dataclass(frozen=True)
class Start:
    """`model` is ready to be trained; `loaded_share` is the share of its numbers that came from `origin`."""

    model: DetectionModel
    loaded_share: float | None
    notes: tuple[str, ...]
    origin: Origin | None = None


def fetch_checkpoint(reference: ModelReference, what: str, folder: Path) -> Path:
    """Downloads and verifies the version's PyTorch file. Raises Failure ParentMissing, DigestMismatch, ..."""
    file = reference.file("pytorch")
    if file is None:
        held = ", ".join(other.format for other in reference.files) or "nothing"
        raise Failure(
            "WeightsNotLoaded",
            f"{what} {reference.version} holds no file of format pytorch, only {held}; training needs its weights",
        )
    target = folder / file.name.replace("/", "_")
    try:
        artifactstore.fetch_file(
            artifactstore.join(reference.uri, file.name), target, sha256=file.sha256, size=file.size_bytes
        )
    except ArtifactError as error:
        raise from_artifact(
            error, f"{what} {reference.version}", missing="ParentMissing", unsupported="ParentMissing"
        ) from None
    return target


def fetch_weights(weights: Weights, folder: Path) -> Path:
    """Downloads the checkpoint that stands for a parent, and verifies it before anything reads it.

    Raises Failure CheckpointMissing, CheckpointDigestMismatch, AccessDenied, StorageUnavailable, DiskFull.
    """
    target = folder / "checkpoint.pt"
    try:
        artifactstore.fetch_file(weights.uri, target, sha256=weights.sha256)
    except ArtifactError as error:
        if error.reason == "DigestMismatch":
            raise Failure(
                "CheckpointDigestMismatch",
                f"checkpoint: {error.message}; find out who changed the file, or pin the digest of the one that is "
                "meant (sha256sum prints it) in a new TrainingJob",
            ) from None
        raise from_artifact(error, "checkpoint", missing="CheckpointMissing", unsupported="CheckpointMissing") from None
    return target


def load_checkpoint(path: Path, what: str) -> DetectionModel:
    """The detection model in a checkpoint, loaded as data. Raises Failure WeightsNotLoaded for anything else."""
    import torch
    from ultralytics.nn import tasks
    from ultralytics.nn.tasks import DetectionModel, guess_model_task, load_checkpoint

    # `trainer.environment` asks for this too, but a file from elsewhere must not depend on who imported what first;
    # with a torch before 2.6, in an image of a user's own, ultralytics would run the file's code without a word
    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):
        raise Failure(
            "WeightsNotLoaded", f"{what} can't be loaded as data by torch {torch.__version__}; use 2.6 or later"
        )
    tasks.SAFE_LOAD = True
    try:
        model, _ = load_checkpoint(str(path))
    except (TypeError, ValueError, RuntimeError, LookupError, AttributeError, ImportError, EOFError) as error:
        raise Failure("WeightsNotLoaded", f"{what} {_why_not(error)}") from None
    # by its plan: models of other tasks are kinds of DetectionModel, and a file may say nothing of its task
    plan = getattr(model, "yaml", None)
    task = guess_model_task(plan) if isinstance(plan, dict) else "unknown"
    if task != "detect" or not isinstance(model, DetectionModel):
        raise Failure("WeightsNotLoaded", f"{what} is a model for the task {task!r}; this trains detection models only")
    if model.is_fused():
        raise Failure("WeightsNotLoaded", f"{what} was fused for inference; give the file that training wrote")
    return model


def start(
    mode: Mode,
    architecture: str | None,
    parent: ModelReference | Weights | None,
    checkpoint: Path | None,
    classes: Sequence[str],
    seed: int = 0,
) -> Start:
    """Builds the model; `checkpoint` is the file of `parent`, and `seed` draws what that does not fill.

    Raises Failure UnknownArchitecture or WeightsNotLoaded.
    """
    import torch

    torch.manual_seed(seed)
    names = dict(enumerate(classes))
    if parent is None or checkpoint is None:
        return Start(_build(_known(architecture), names), None, ())
    version = parent if isinstance(parent, ModelReference) else None
    what = f"checkpoint {parent.uri}" if version is None else f"parent {version.version}"
    source = load_checkpoint(checkpoint, what)
    known = class_names(source, what)
    mismatch = None if version is None else class_mismatch(version, known)
    plan = _known(architecture) if mode == "Transfer" else dict(source.yaml)
    if mode != "Transfer" and architecture is not None and not _same(architecture, plan):
        raise Failure(
            "WeightsNotLoaded",
            f"{what} is a {_name(plan)} and the architecture asked for is {architecture}; "
            "use mode Transfer to change it",
        )
    model = _build(plan, names)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load(source, verbose=False)
    share = loaded_share(source.state_dict(), before, model.state_dict())
    minimum = MINIMUM_SHARE[mode]
    if share < minimum:
        raise Failure(
            "WeightsNotLoaded",
            f"only {share:.1%} of {_name(plan)} could be filled from {what} ({_name(source.yaml)}), and {mode} needs "
            f"{minimum:.0%}; start from a version of the same architecture, or use mode Scratch",
        )
    notes = _notes(class_changes(known, classes), what)
    return Start(
        model,
        share,
        tuple(notes if mismatch is None else [*notes, mismatch]),
        Origin(_name(source.yaml), tuple(known), mismatch),
    )


def class_names(source: DetectionModel, what: str) -> list[str]:
    """The model's own class names, in the order of its output; a file may have them in any, by their indices.

    Raises Failure WeightsNotLoaded where it has none."""
    names = getattr(source, "names", None)
    if isinstance(names, Mapping):
        return [str(names[index]) for index in sorted(names)]
    if isinstance(names, list | tuple):
        return [str(name) for name in names]
    raise Failure("WeightsNotLoaded", f"{what} holds no class names, by which its weights are matched with the data's")


def class_mismatch(parent: ModelReference, known: Sequence[str]) -> str | None:
    """How the classes that a ModelVersion declares differ from those in its file; None where they do not.

    The order counts: it is the order of the model's output.
    """
    if tuple(known) == parent.classes:
        return None
    said = f"parent {parent.version} declares {_listed(parent.classes)}, and its file has {_listed(known)}"
    return f"{said}; weights are matched by the names in the file. Correct the ModelVersion's classes in a new version"


def _listed(classes: Sequence[str]) -> str:
    count = f"{len(classes)} class{'' if len(classes) == 1 else 'es'}"
    more = ", …" if len(classes) > _SHOWN else ""
    return f"{count} ({', '.join(name[:40] for name in classes[:_SHOWN])}{more})"


def _why_not(error: Exception) -> str:
    """Why a file can't be loaded, in words; what a pickle names besides data is said by its name."""
    refused = _REFUSED.search(str(error.__cause__ or ""))
    if refused is not None:
        return (
            f"names {refused[1]}, which is not part of a YOLO model: it was not loaded, and nothing in it was run. Use "
            "the file that ultralytics wrote, from a source you trust"
        )
    return f"is not a checkpoint that can be loaded: {' '.join(str(error).split())}"


@dataclass(frozen=True)
class ClassChanges:
    """How a class list follows from the parent's: by name, whatever the order."""

    kept: int
    added: tuple[str, ...]
    dropped: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"kept": self.kept, "added": list(self.added[:NAMED]), "dropped": list(self.dropped[:NAMED])}


def class_changes(before: Sequence[str], after: Sequence[str]) -> ClassChanges:
    """Rows of the head that keep what they learned, that start untrained, and that are left behind."""
    added = tuple(name for name in after if name not in before)
    return ClassChanges(len(after) - len(added), added, tuple(name for name in before if name not in after))


def loaded_share(source: Mapping[str, Tensor], before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float:
    """Share of the numbers in `after` that come from `source`: whole tensors of equal name and shape, and single rows
    of the classification head that were matched by class name (they differ from `before`, the untrained model).
    """
    total = loaded = 0
    for name, tensor in after.items():
        total += tensor.numel()
        if name in source and source[name].shape == tensor.shape:
            loaded += tensor.numel()
        elif name in before and before[name].shape == tensor.shape:
            loaded += int((before[name] != tensor).sum())
    return loaded / total


def _known(architecture: str | None) -> dict[str, Any]:
    """The plan of an architecture that ultralytics ships. Raises Failure UnknownArchitecture."""
    from ultralytics.nn.tasks import guess_model_task, yaml_model_load
    from ultralytics.utils import ROOT

    shipped = sorted(path.stem for path in (ROOT / "cfg" / "models").rglob("yolo*.yaml"))
    try:
        if architecture is None or "/" in architecture or architecture != architecture.removesuffix(".pt"):
            raise FileNotFoundError
        plan = dict(yaml_model_load(f"{architecture.removesuffix('.yaml')}.yaml"))
    except FileNotFoundError:
        raise Failure(
            "UnknownArchitecture",
            f"architecture {architecture!r} is not known; use one of {', '.join(_detectors(shipped))}, with the scale "
            "after the number where it has scales, for example yolo11n",
        ) from None
    if plan.get("scales") and not plan.get("scale"):
        scales = ", ".join(f"{architecture}{scale}" for scale in plan["scales"])
        raise Failure("UnknownArchitecture", f"architecture {architecture!r} comes in scales; use one of {scales}")
    if guess_model_task(plan) != "detect":
        raise Failure(
            "UnknownArchitecture", f"architecture {architecture!r} is for {guess_model_task(plan)}, not detection"
        )
    return plan


def _detectors(shipped: Sequence[str]) -> list[str]:
    other = ("-cls", "-seg", "-pose", "-obb", "-sem", "-depth", "-world", "-rtdetr", "yoloe")
    return [name for name in shipped if not any(mark in name for mark in other)]


def _build(plan: dict[str, Any], names: dict[int, str]) -> DetectionModel:
    from ultralytics.nn.tasks import DetectionModel

    model = DetectionModel(plan, ch=3, nc=len(names), verbose=False)
    model.names = names  # before weights are loaded: the head's rows are matched by name
    return model


def _same(architecture: str, plan: Mapping[str, Any]) -> bool:
    return architecture.removesuffix(".yaml") == _name(plan)


def _name(plan: Mapping[str, Any]) -> str:
    return Path(str(plan.get("yaml_file", "unnamed architecture"))).stem


def _notes(changes: ClassChanges, what: str) -> list[str]:
    notes = []
    if changes.added:
        notes.append(f"classes that {what} does not know start untrained: {', '.join(changes.added[:20])}")
    if changes.dropped:
        notes.append(
            f"classes of {what} that this dataset does not have are dropped: {', '.join(changes.dropped[:20])}"
        )
    return notes


def batch_of(checkpoint: Path) -> int:
    """Images per step that a checkpoint of ours was trained with in the end: what -1 came to, for one."""
    from ultralytics.nn.tasks import load_checkpoint as load

    _, content = load(str(checkpoint))
    return int(content["train_args"]["batch"])
