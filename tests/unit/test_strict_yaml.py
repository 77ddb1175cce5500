"""YAML of the settings: nothing in it is lost, and whatever is wrong with it is one line that says where."""

import pytest
import yaml

from modelfleet import settings, strict_yaml
from modelfleet.strict_yaml import StrictYamlError

IMAGES = "images: {trainer: a, agent: b, labeler: c}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "a: 1\nb: [x, 1.5, true, null, ~, '1', {c: d}]\n",
        "{a: 0x1f, b: 010, c: 1_000, d: .inf, e: 1e3, 'f': \"g\\n\", g: 12:30}",
        "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\ne: *x\n",
        "a: {<<: [{b: 1}, {b: 2, c: 3}], d: 4}",
        "a: |\n  two\n  lines\n",
    ],
)
def test_plain_data_is_read_as_by_the_safe_loader(text):
    assert strict_yaml.read(text) == yaml.safe_load(text)


def test_a_time_is_the_text_that_is_written():
    assert strict_yaml.read("a: 2024-01-01\nb: 2024-99-99\n2024-01-02: c") == {
        "a": "2024-01-01",
        "b": "2024-99-99",
        "2024-01-02": "c",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3", r"^a is written twice \(lines 1 and 3\): leave one of them out$"),
        ("a:\n  b: {c: 1,\n   c: 1}", r"^a\.b\.c is written twice \(lines 2 and 3\)"),
        ("a: [{b: 1}, {b: 1, b: 2}]", r"^a\[1\]\.b is written twice"),
        ("a: {<<: {b: 1}, b: 2, b: 3}", r"^a\.b is written twice"),
        ("a: &x [*x]", r"^a\[0\] contains itself \(line 1\)$"),
        ("a: &x\n  b: {<<: *x}", r"^a\.b: << contains itself"),
        ("a: {<<: 3}", r"^a: << must take over a mapping"),
        ("? [a, b]\n: 1", r"^a key must be a single value \(line 1\)$"),
        ("a:\n  ? {b: c}\n  : 1", r"^a: a key must be a single value \(line 2\)$"),
        ("a: !secret b", r"^a has the tag !secret: write plain data \(line 1\)$"),
        (
            "a: !!python/object:os.system {}",
            r"^a has the tag tag:yaml\.org,2002:python/object:os\.system: write plain data",
        ),
        ("a: !!set {b}", r"^a has the tag tag:yaml\.org,2002:set: write plain data"),
        ("a: !!map b", r"^a has the tag tag:yaml\.org,2002:map"),
        ("a: !!str {b: c}", r"^a has the tag tag:yaml\.org,2002:str"),
        ("a: !!binary aGk=", r"^a has the tag tag:yaml\.org,2002:binary"),
        ("a: =", r"^a has the tag tag:yaml\.org,2002:value"),
        ("a: !!int many", r"^a can't be read: 'many'; put text in quotes"),
        ("a: 0x_", r"^a can't be read: '0x_'"),
        ("a: !!bool maybe", r"^a can't be read: 'maybe'"),
        (f"a: {'9' * 5000}", r"^a can't be read: '9{40}'"),
        (f"a: 0x{'f' * 5000}", r"^a is too big a number \(line 1\)$"),
        ("a: [", r"^not valid YAML at line 1: "),
        ("a: b: c", r"^not valid YAML at line 1: mapping values are not allowed here$"),
        ("a: *x", r"^not valid YAML at line 1: found undefined alias 'x'$"),
        ("a: 1\n---\nb: 1", r"^not valid YAML at line 2: but found another document$"),
        ("a: \x07", r"^not valid YAML: unacceptable character"),
        ("[" * 5000, r"^not valid YAML: it is nested too deeply$"),
        ("!x a", r"^the file has the tag !x"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, says):
    with pytest.raises(StrictYamlError, match=says) as raised:
        strict_yaml.read(text)
    assert "\n" not in str(raised.value)


ODD = [
    "2024-99-99", "2024-01-01", "!secret a", "!!binary aGk=", "!!set {a}", "!!omap [a: 1]", "=", "0x_", ".nan", ".inf",
    "-.inf", "-1", "1e400", "1" * 400, f"0x{'f' * 5000}", "'\\0'", "{[a]: b}", "{{a: b}: c}", "{1: 2}", "{null: a}",
    "[[]]", "[null]", "{a: {a: {}}}", "&x [*x]", "&x {a: *x}", "{a: 1, a: 2}", "{<<: 3}", "''", "'é'", "99999h",
]  # fmt: skip


def refusal(text):
    """What is said against these settings, or `taken`. Another error than of the settings is raised."""
    try:
        settings.parse(text)
    except settings.SettingsError as error:
        return str(error)
    return "taken"


@pytest.mark.parametrize("odd", ODD, ids=lambda text: text[:12])
@pytest.mark.parametrize(
    "setting",
    [
        "workers", "resyncPeriod", "namespaces", "api", "notifications", "verification", "images",
        "api.requestTimeout", "api.writesPerSecond", "server.address", "prometheus.url", "prometheus.providers",
        "prometheus.credentials.ca", "verification.enabled", "verification.template", "verification.exempt",
        "retention.models", "signatures.publicKeys", "notifications.endpoints", "notifications.cluster",
    ],
)  # fmt: skip
def test_no_odd_value_is_anything_but_taken_or_refused_by_name(setting, odd):
    """Each kind of setting: none ends the operator with an error of its own making."""
    *groups, last = setting.split(".")
    text = f"{last}: {odd}"
    for group in reversed(groups):
        text = f"{group}: {{{text}}}"
    said = refusal((IMAGES if setting != "images" else "") + text)
    assert last in said or said.startswith(("not valid YAML", "taken"))


def test_the_file_and_the_setting_are_named(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(IMAGES + "api: {requestTimeout: 2024-99-99}")
    with pytest.raises(settings.SettingsError, match=r"settings\.yaml: api\.requestTimeout: '2024-99-99' is not a dur"):
        settings.load(path)
    path.write_text(IMAGES + "workers: 1\nworkers: 2")
    with pytest.raises(settings.SettingsError, match=r"settings\.yaml: workers is written twice \(lines 2 and 3\)"):
        settings.load(path)
