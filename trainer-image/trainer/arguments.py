"""From the hyperparameters of a TrainingJob to the arguments of ultralytics, each known, typed and harmless.

Which arguments are whose is said here and nowhere else; types and ranges are ultralytics' own. `resolve` is pure;
`check` asks ultralytics itself, so that it is never older than the library. For the operator, which has no ultralytics,
`trainer.argument_table` writes both down in a table.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping

from trainer.failure import Failure
from trainer.run import Run

Value = int | float | bool | str | None | list[object]

DEFAULTS: Mapping[str, Value] = {
    "epochs": 100,
    "imgsz": 640,
    "batch": 16,
    "patience": 30,
    "optimizer": "auto",
    "seed": 0,
    "freeze": 0,
}
# the API's name of what has a field of its own
FIELDS: Mapping[str, str] = {
    "epochs": "epochs",
    "imgsz": "imageSize",
    "batch": "batch",
    "patience": "patience",
    "optimizer": "optimizer",
    "seed": "seed",
    "freeze": "freeze",
}
# fmt: off
AUGMENTATION = frozenset(
    {
        "hsv_h", "hsv_s", "hsv_v", "degrees", "translate", "scale", "shear", "perspective", "flipud",
        "fliplr", "bgr", "mosaic", "mixup", "cutmix", "copy_paste", "copy_paste_mode", "auto_augment",
        "erasing", "multi_scale", "close_mosaic",
    }
)
# Everything else a user may set through `extra`: what shapes the training and nothing else.
TRAINING = frozenset(
    {
        "time", "cache", "workers", "cls_remap", "deterministic", "rect", "cos_lr", "amp",
        "fraction", "compile", "channels_last", "overlap_mask", "mask_ratio", "dropout", "iou", "max_det",
        "lr0", "lrf", "momentum", "weight_decay", "warmup_epochs", "warmup_momentum", "warmup_bias_lr", "box",
        "cls", "cls_pw", "dfl", "nbs",
    }
)
# fmt: on
# What the trainer sets itself, and why nobody else may. Whatever else ultralytics knows is refused as NOT_READ.
REFUSED: Mapping[str, str] = {
    "project": "where a run writes its files is modelfleet's to say",
    "name": "where a run writes its files is modelfleet's to say",
    "exist_ok": "where a run writes its files is modelfleet's to say",
    "save_dir": "where a run writes its files is modelfleet's to say",
    "resume": "a run resumes automatically, from its own last checkpoint and never from a guess",
    "device": "the devices follow from spec.resources.gpus",
    "data": "the data is spec.dataset",
    "model": "the model follows from spec.architecture and spec.from",
    "pretrained": "the weights to start from follow from spec.mode and spec.from",
    "distill_model": "its teacher would be a model that no lineage names",
    "quantize": "quantization belongs to the export, and is not offered yet",
    "task": "modelfleet trains object detection",
    "mode": "a TrainingJob trains",
    "single_cls": "it would replace the dataset's classes by one",
    "cfg": "a file of arguments would go round this check",
    "save": "without checkpoints there is nothing to publish or to resume from",
    "save_period": "how often a checkpoint is kept is spec.checkpoint.everyEpochs",
    "val": "without validation there is no best epoch",
    "split": "the validation part is what every epoch is judged on",
    "plots": "pictures are not kept",
    "profile": "it slows the training down and changes no model",
    "verbose": "the log's form is the trainer's",
}
NOT_READ = "training a detection model does not read it"
# Limits that ultralytics does not check itself and would fall over later, or train nonsense with.
LEAST: Mapping[str, int] = {
    "imgsz": 32,
    "freeze": 0,
    "workers": 0,
    "close_mosaic": 0,
    "warmup_epochs": 0,
    "box": 0,
    "cls": 0,
    "dfl": 0,
    "time": 0,
}
WHOLE = frozenset({"epochs", "imgsz", "batch", "patience", "seed", "freeze"})
# Words that ultralytics takes; of the others it ignores some in silence.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "optimizer": ("auto", "SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSprop"),
    "cache": ("ram", "disk"),
    "amp": ("fp16", "bf16", "fp32"),
    "copy_paste_mode": ("flip", "mixup"),
    "auto_augment": ("randaugment", "autoaugment", "augmix"),
}


def resolve(run: Run) -> dict[str, Value]:
    """The arguments of this run that come from its hyperparameters, under ultralytics' names.

    Continue takes what is not given from the parent. FineTune and Continue keep the parent's image size unless told
    otherwise. Raises Failure UnknownArgument for a name that is in the wrong place or is not to be set.
    """
    given = run.hyperparameters
    arguments: dict[str, Value] = dict(DEFAULTS)
    if run.parent is not None and run.mode in ("Continue", "FineTune"):
        arguments["imgsz"] = run.parent.image_size
    if run.parent is not None and run.mode == "Continue":
        inherited = {name: parse(value) for name, value in run.parent.hyperparameters.items()}
        arguments |= {
            name: value for name, value in inherited.items() if name in DEFAULTS or name in AUGMENTATION | TRAINING
        }
    for name, field in {"imgsz": "image_size", **{name: name for name in FIELDS if name != "imgsz"}}.items():
        value = getattr(given, field)
        if value is not None:
            arguments[name] = value
    for group, values in (("augmentation", given.augmentation), ("extra", given.extra)):
        for name, text in values.items():
            _check_place(group, name)
            arguments[name] = parse(text)
    return arguments


def parse(text: str) -> Value:
    """A value as people write it: 1e-3, 10, true, none, [1, 2], or a word."""
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    if lowered in ("none", "null"):
        return None
    for number in (int, float):
        try:
            return number(lowered)
        except ValueError:
            continue
    if lowered.startswith("["):
        try:
            parsed = json.loads(text)
        except json.JSONDecodeError:
            return text
        return parsed if isinstance(parsed, list) else text
    return text


def check(arguments: Mapping[str, Value]) -> None:
    """Types and ranges, by ultralytics' own rules. Raises Failure UnknownArgument."""
    from ultralytics import __version__
    from ultralytics.cfg import DEFAULT_CFG_DICT, get_cfg

    for name in arguments:
        if name not in DEFAULT_CFG_DICT:
            near = difflib.get_close_matches(name, DEFAULT_CFG_DICT, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise Failure("UnknownArgument", f"{name} is not a training argument of ultralytics {__version__}{hint}")
    try:
        get_cfg(overrides=dict(arguments))
    except (TypeError, ValueError) as error:
        raise Failure("UnknownArgument", " ".join(str(error).split())) from None
    _check_limits(arguments)


def to_texts(arguments: Mapping[str, Value]) -> dict[str, str]:
    """As lineage records them, and as `parse` reads them back."""
    texts = {}
    for name, value in sorted(arguments.items()):
        texts[name] = value if isinstance(value, str) else json.dumps(value)
    return texts


def _check_place(group: str, name: str) -> None:
    where = f"hyperparameters.{group}.{name}"
    if name in REFUSED:
        raise Failure("UnknownArgument", f"{where} can't be given: {REFUSED[name]}")
    if name in FIELDS:
        raise Failure("UnknownArgument", f"{where}: give it as hyperparameters.{FIELDS[name]}")
    if group == "augmentation" and name in TRAINING:
        raise Failure("UnknownArgument", f"{where} is not an augmentation; give it under hyperparameters.extra")
    if name not in AUGMENTATION | TRAINING:
        near = difflib.get_close_matches(name, AUGMENTATION | TRAINING | set(FIELDS), n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise Failure("UnknownArgument", f"{where} is not a training argument{hint}")


def _check_limits(arguments: Mapping[str, Value]) -> None:
    for name, value in arguments.items():
        problem = _beyond_limits(name, value)
        if problem:
            raise Failure("UnknownArgument", f"{name}={json.dumps(value)} {problem}")


def _beyond_limits(name: str, value: Value) -> str | None:
    """What ultralytics leaves unchecked. It also takes true for 1, and lets NaN and infinity through."""
    if isinstance(value, str):
        words = CHOICES.get(name, (value,))
        known = {word.lower() for word in words}
        return None if value.lower() in known else f"must be one of {', '.join(words)}"
    if isinstance(value, bool):
        return None if _may_be_bool(name) else "must be a number"
    if name in WHOLE and not isinstance(value, int):
        return "must be a whole number"
    if name == "cache":
        return "must be true, false, ram or disk"
    if not isinstance(value, int | float):
        return None
    if not math.isfinite(value):
        return "must be a finite number"
    if name == "batch" and (value == 0 or value < -1):
        return "must be at least 1, or -1 to fit to memory"
    return f"must be at least {LEAST[name]}" if value < LEAST.get(name, value) else None


def _may_be_bool(name: str) -> bool:
    from ultralytics.cfg import CFG_BOOL_KEYS

    return name in CFG_BOOL_KEYS or name in ("amp", "cache", "compile")
