"""Reading answers: values that are not numbers, series that are no plain samples."""

import json
from math import inf, isnan

import pytest

from modelfleet.prometheus import NoData, Samples
from modelfleet.prometheus.answers import read


def said(kind, result):
    return read(200, json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode())


def test_nan_and_infinities():
    found = said("vector", [{"metric": {"n": v}, "value": [1.5, v]} for v in ("NaN", "+Inf", "-Inf", "1e3")])
    values = [values[0][1] for _, values in found.series]
    assert isnan(values[0])
    assert values[1:] == [inf, -inf, 1000.0]


def test_native_histograms_are_left_out():
    native = {"metric": {}, "histogram": [1, {"count": "1"}]}
    assert said("vector", [native]) == NoData()
    assert said("matrix", [{"metric": {}, "histograms": []}, {"metric": {}, "values": [[1, "2"]]}]) == Samples(
        (({}, ((1.0, 2.0),)),)
    )


@pytest.mark.parametrize("kind", ["vector", "matrix"])
def test_an_empty_result_is_no_data(kind):
    assert said(kind, []) == NoData()
