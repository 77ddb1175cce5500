"""From the hyperparameters of a TrainingJob to the arguments of ultralytics, each known, typed and harmless.

`resolve` is pure. `check` asks ultralytics itself, so that the table of arguments is never older than the library.
"""

from __future__ import annotations

import difflib
import json
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
OPTIMIZERS = ("auto", "SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSprop")
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
# Set by the trainer: they say where files go, what is trained on what, and how it is reported.
OURS = frozenset(
    {
        "project", "name", "resume", "device", "exist_ok", "data", "model", "pretrained", "save_dir", "task",
        "mode", "cfg", "save", "save_period", "val", "split", "plots", "verbose", "profile", "tracker",
        "single_cls",
    }
)
# fmt: on


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
            hint = f"; did you mean {near[0]}?" if near else ""
            raise Failure("UnknownArgument", f"{name} is not a training argument of ultralytics {__version__}{hint}")
    try:
        get_cfg(overrides=dict(arguments))
    except (TypeError, ValueError) as error:
        raise Failure("UnknownArgument", " ".join(str(error).split())) from None
    _check_ranges(arguments)


def to_texts(arguments: Mapping[str, Value]) -> dict[str, str]:
    """As lineage records them, and as `parse` reads them back."""
    texts = {}
    for name, value in sorted(arguments.items()):
        texts[name] = value if isinstance(value, str) else json.dumps(value)
    return texts


def _check_place(group: str, name: str) -> None:
    where = f"hyperparameters.{group}.{name}"
    if name in OURS:
        raise Failure("UnknownArgument", f"{where} is set by the trainer and can't be given")
    if name in FIELDS:
        raise Failure("UnknownArgument", f"{where}: give it as hyperparameters.{FIELDS[name]}")
    if group == "augmentation" and name not in AUGMENTATION:
        known = AUGMENTATION | TRAINING
        near = difflib.get_close_matches(name, known, n=1)
        if name in TRAINING:
            raise Failure("UnknownArgument", f"{where} is no augmentation; give it under hyperparameters.extra")
        hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(AUGMENTATION))}"
        raise Failure("UnknownArgument", f"{where} is not known{hint}")
    if group == "extra" and name not in AUGMENTATION | TRAINING:
        near = difflib.get_close_matches(name, AUGMENTATION | TRAINING, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise Failure("UnknownArgument", f"{where} is not a training argument{hint}")


def _check_ranges(arguments: Mapping[str, Value]) -> None:
    if str(arguments.get("optimizer")).lower() not in {name.lower() for name in OPTIMIZERS}:
        raise Failure("UnknownArgument", f"hyperparameters.optimizer must be one of {', '.join(OPTIMIZERS)}")
    for name, least in (("imgsz", 32), ("freeze", 0), ("patience", 0), ("epochs", 1), ("seed", 0)):
        value = arguments.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise Failure(
                "UnknownArgument", f"hyperparameters.{FIELDS[name]} must be a whole number of at least {least}"
            )
    batch = arguments.get("batch")
    if not isinstance(batch, int) or batch == 0 or batch < -1:
        raise Failure(
            "UnknownArgument", "hyperparameters.batch must be a whole number of at least 1, or -1 to fit to memory"
        )
