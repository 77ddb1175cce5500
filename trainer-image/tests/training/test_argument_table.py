"""Arguments are checked by ultralytics itself, and the operator's table and its check say what ultralytics says."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from trainer import argument_table, arguments
from trainer.failure import Failure

OPERATOR = Path(os.environ["OPERATOR_TRAINING"])  # operator/modelfleet/training of this checkout


@pytest.fixture(scope="module")
def operator() -> ModuleType:
    """The operator's own check, which needs nothing but Python."""
    spec = importlib.util.spec_from_file_location("operator_arguments", OPERATOR / "hyperparameters.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr_0": 0.1}, "lr_0 is not a training argument of ultralytics"),
        ({"lr0": "fast"}, "'lr0=fast' is of invalid type str"),
        ({"mosaic": 1.5}, "'mosaic=1.5' is an invalid value"),
        ({"cos_lr": 3}, "'cos_lr=3' is of invalid type int"),
        ({"imgsz": 16}, "imgsz=16 must be at least 32"),
        ({"epochs": 0}, "'epochs=0' is an invalid value"),
        ({"epochs": 1.0}, "epochs=1.0 must be a whole number"),
        ({"batch": 0}, "batch=0 must be at least 1, or -1 to fit to memory"),
        ({"batch": -2}, "batch=-2 must be at least 1, or -1 to fit to memory"),
        ({"optimizer": "Adagrad"}, 'optimizer="Adagrad" must be one of auto, SGD,'),
        ({"workers": -1}, "workers=-1 must be at least 0"),
        ({"box": float("nan")}, "box=NaN must be a finite number"),
        ({"lr0": True}, "lr0=true must be a number"),
    ],
)
def test_arguments_are_checked_by_ultralytics_itself(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Failure) as caught:
        arguments.check(dict(arguments.DEFAULTS) | changes)
    assert (caught.value.reason, caught.value.exit_code) == ("UnknownArgument", 64)
    assert message in caught.value.message


def test_the_committed_table_is_that_of_this_ultralytics() -> None:
    made = argument_table.to_text(argument_table.table())
    assert (OPERATOR / "hyperparameters.json").read_text() == made, "run `make arguments` and commit what it writes"


def test_every_name_is_one_of_ultralytics() -> None:
    from ultralytics.cfg import DEFAULT_CFG_DICT

    named = arguments.AUGMENTATION | arguments.TRAINING | set(arguments.FIELDS) | set(arguments.REFUSED)
    assert named - {"save_dir"} <= set(DEFAULT_CFG_DICT)
    assert not (arguments.AUGMENTATION | arguments.TRAINING) & set(arguments.REFUSED)


TEXTS = (
    *("0", "1", "-1", "2", "500", "0.5", "1.0", "1.5", "-0.5", "1e-3", "10.0", "nan", "inf", "true", "false", "none"),
    *("ram", "disk", "fp16", "BF16", "flip", "randaugment", "word"),
)


@pytest.mark.parametrize("name", sorted(arguments.AUGMENTATION | arguments.TRAINING))
def test_the_operator_takes_what_ultralytics_takes(name: str, operator: ModuleType) -> None:
    for text in TEXTS:
        try:
            arguments.check(arguments.DEFAULTS | {name: arguments.parse(text)})
            taken = True
        except Failure:
            taken = False
        problems = operator.problems({"extra": {name: text}}, {}, 1)
        assert (problems == ()) is taken, f"{name}={text}: {problems or 'the trainer refuses it'}"


@pytest.mark.parametrize(
    ("field", "name", "values"),
    [
        ("epochs", "epochs", (0, 1, 100)),
        ("imageSize", "imgsz", (0, 31, 32, 640)),
        ("batch", "batch", (-2, -1, 0, 1, 16)),
        ("patience", "patience", (-1, 0, 30)),
        ("seed", "seed", (-1, 0, 7)),
        ("freeze", "freeze", (-1, 0, 10)),
        ("optimizer", "optimizer", ("auto", "adamw", "SGD", "RMSProp", "Adagrad", "Lion")),
    ],
)
def test_the_operator_takes_of_a_field_what_ultralytics_takes(
    field: str, name: str, values: tuple[Any, ...], operator: ModuleType
) -> None:
    for value in values:
        try:
            arguments.check(arguments.DEFAULTS | {name: value})
            taken = True
        except Failure:
            taken = False
        assert (operator.problems({field: value}, {}, 1) == ()) is taken, f"{name}={value}"
