"""Do the unit tests find out a changed operator? `python -m mutants.run`, in the environment of `make mutants`."""

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from mutants.results import keep, page, table
from mutants.scratch import Failed, measure
from mutants.suites import SUITES


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the report goes")
    parser.add_argument("--only", type=Path, nargs="*", default=[], metavar="FILE", help="no other source files")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="so many mutants of each file; 0 is all")
    parser.add_argument("--quick", action="store_true", help="without the tests that play whole rollouts")
    options = parser.parse_args()
    out: Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    wanted = {suite: [file for file in suite.files() if file in options.only or not options.only] for suite in SUITES}
    unknown = set(options.only).difference(*wanted.values())
    if unknown:
        parser.error(f"not among what is mutated: {', '.join(map(str, sorted(unknown)))}")
    jobs = len(os.sched_getaffinity(0))
    for suite, files in wanted.items():
        if not files:
            continue
        print(f"{suite.name}: mutants of {len(files)} files ...", flush=True)
        with TemporaryDirectory(prefix="modelfleet-mutants-") as scratch:
            log = out / f"{suite.name}.log"
            try:
                found = measure(
                    suite, files, Path(scratch), jobs=jobs, sample=options.sample, quick=options.quick, log=log
                )
            except Failed as error:
                print(error, file=sys.stderr)
                return 1
        known = keep(found, out / "found.json")
        (out / "report.md").write_text(page(known))
        print(table({each.file: each for each in found}))
    print(f"what was not killed: {out / 'report.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
