"""Cutting a byte stream into lines."""

import pytest

from modelfleet.kube import lines
from modelfleet.kube.lines import split_lines


async def chunks_of(data, size):
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_lines_do_not_depend_on_the_chunks(size):
    data = 'one\r\n\nthrée\n{"x": 1}\nlast without end'.encode()
    found = [line async for line in split_lines(chunks_of(data, size))]
    assert found == ["one", "", "thrée", '{"x": 1}', "last without end"]


async def test_invalid_bytes_are_replaced():
    assert [line async for line in split_lines(chunks_of(b"a\xffb\n", 10))] == ["a\N{REPLACEMENT CHARACTER}b"]


@pytest.mark.parametrize("size", [3, 8, 1000])
async def test_line_that_never_ends_is_dropped_and_the_next_one_is_whole(size, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE", 10)
    data = b"before\n" + b"x" * 95 + b"\nafter\n" + b"y" * 50
    assert [line async for line in split_lines(chunks_of(data, size))] == ["before", "after"]
