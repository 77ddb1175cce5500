"""The example of docs/gate.md does what the page says, and the reader of the CSV file says what is wrong with one."""

import re
from pathlib import Path

import pytest

import modelfleet.gate
from modelfleet.gate import Problem, Verdict, explain, infer, read_csv
from modelfleet.gate.cause import Cause

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLE = re.compile(r"<!-- run from docs/ -->\n```python\n(.*?)```\n\n```\n(.*?)```", re.DOTALL)


def test_the_example_prints_what_the_page_says(monkeypatch, capsys):
    code, printed = EXAMPLE.search((DOCS / "gate.md").read_text()).groups()
    assert len(code.strip().splitlines()) <= 5
    monkeypatch.chdir(DOCS)
    exec(compile(code, "docs/gate.md", "exec"), {})
    assert capsys.readouterr().out == printed


def test_the_pages_reasons_are_those_of_the_code():
    paragraph = re.search(
        r"The reason beside the verdict is stable: (.*?)\n\n", (DOCS / "gate.md").read_text(), re.DOTALL
    )
    assert re.findall(r"`(\w+)`", paragraph[1]) == list(Cause)


def test_each_reason_is_given_somewhere():
    code = "".join(path.read_text() for path in Path(modelfleet.gate.__file__).parent.glob("*.py"))
    assert [cause for cause in Cause if f"Cause.{cause.name}" not in code] == []


def test_exports():
    assert [name for name in modelfleet.gate.__all__ if not hasattr(modelfleet.gate, name)] == []


HEADER, *LINES = (DOCS / "gate-nodes.csv").read_text().splitlines()


def changed(path: Path, *lines: str) -> Path:
    file = path / "nodes.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((HEADER.replace(",frames", ""), *LINES), "columns are missing: frames"),
        ((HEADER, *LINES[:-1]), "rows are missing: cam-20 after"),
        ((HEADER,), "rows are missing: all"),
        ((HEADER, *LINES, LINES[0]), "line 42: a second row for node cam-01, before"),
        ((HEADER, LINES[0].replace("canary", "canaries")), "line 2: side must be canary or control"),
        ((HEADER, LINES[0], LINES[1].replace("canary", "control")), "line 3: node cam-01 has another side"),
        ((HEADER, LINES[0].replace(",10800,", ",many,")), "line 2: could not convert string to float: 'many'"),
        ((HEADER, LINES[0].replace(",10800,", ",-1,"), *LINES[1:]), "counts must not be negative"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path, lines, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        read_csv(changed(tmp_path, *lines))


def test_strata_are_read(tmp_path):
    lines = [f"{line},{'north' if number < 20 else 'south'}" for number, line in enumerate(LINES)]
    found = infer(read_csv(changed(tmp_path, f"{HEADER},stratum", *lines)))
    assert {reason for _, reason in found.aside} == {"no counterpart in its stratum"}


def test_too_small_a_fleet_is_called_so(tmp_path):
    found = infer(read_csv(changed(tmp_path, HEADER, *LINES[:12])))
    assert isinstance(found, Problem)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert explain(found) == ("4 canary and 2 control nodes can be chosen in 15 ways, 40 required for alpha 0.05.")
