"""Writes everything that is generated, from the repository's root: dashboards, rules, runbooks, docs/metrics.md."""

from pathlib import Path

from modelfleet.observability import generate

if __name__ == "__main__":
    root = Path.cwd()
    for name, text in generate.files(root).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in generate.stale(root):
        (root / name).unlink()
