#!/usr/bin/env python3
"""Publishes one run of the benchmark suite: all that it printed, and its pictures, in docs/benchmarks; its first lines and
its rows in README.md and docs/benchmarks.md, between two comments there. So all that is published is of one run.

  publish.py RUN        publishes the run in that folder, build/bench-results
  publish.py --check    whether README.md and docs/benchmarks.md say what docs/benchmarks/results.md says; exits 1 if not
"""

import argparse
import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from lab.report import PICTURES  # noqa: E402
from lab.rows import BARS  # noqa: E402

ROOT = os.path.dirname(HERE)
RESULTS = os.path.join("docs", "benchmarks", "results.md")
PAGES = ("README.md", os.path.join("docs", "benchmarks.md"))
BEGIN, END = "<!-- results: begin -->\n", "<!-- results: end -->\n"
TABLE = "| row | what |"
FEWEST_BLOCKS = 8  # of ten; the table says how many there are
INTRODUCTION = """# Results

All that one run of `./scripts/bench` printed. What the rows mean and how they are measured: [benchmarks.md](../benchmarks.md).

"""


class Unfit(Exception):
    """Why something cannot be published, or is not what was published."""


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def summary(printed):
    """The first lines of a run, and its rows: the first table and the paragraph in front of it."""
    paragraphs = printed.split("\n\n")
    for before, table in zip(paragraphs, paragraphs[1:]):
        if table.startswith(TABLE):
            return f"{before.strip()}\n\n{table.strip()}\n"
    raise Unfit("there is no table of rows")


def names(table):
    return [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")][2:]


def around(page):
    """What a page has before, between and after the two comments."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise Unfit(f"it needs the lines {BEGIN.strip()} and {END.strip()}, once each, around what is published there")
    before, rest = page.split(BEGIN)
    between, after = rest.split(END)
    return before + BEGIN, between.strip() + "\n", END + after


def publish(run, root):
    printed = read(os.path.join(run, "results.md"))
    said = summary(printed)
    if names(said) != list(BARS):
        raise Unfit(f"{run}: this run does not have all rows")
    fit_to_publish(run)
    absent = [name for name in PICTURES if not os.path.exists(os.path.join(run, name))]
    if absent:
        raise Unfit(f"{run}: this run has no {', '.join(absent)}")
    texts = {RESULTS: INTRODUCTION + printed}
    for page in PAGES:
        before, _, after = of_page(root, page)
        texts[page] = f"{before}\n{said}\n{after}"
    for path, text in texts.items():  # only now, so that it is all or nothing
        with open(os.path.join(root, path), "w", encoding="utf-8") as file:
            file.write(text)
    for name in PICTURES:
        shutil.copyfile(os.path.join(run, name), os.path.join(root, os.path.dirname(RESULTS), name))


def fit_to_publish(run):
    """A whole run, with the usual options, in which no chapter failed and nearly all blocks were quiet."""
    said = json.loads(read(os.path.join(run, "results.json")))
    if "options" in said["machine"]:
        raise Unfit(f"{run}: this run was made with {said['machine']['options']}")
    if said["failed"]:
        raise Unfit(f"{run}: failed: {', '.join(said['failed'])}")
    few = [row["name"] for row in said["rows"] if row["blocks"] is not None and row["blocks"] < FEWEST_BLOCKS]
    if few:
        raise Unfit(f"{run}: fewer than {FEWEST_BLOCKS} blocks: {', '.join(few)}")


def of_page(root, page):
    try:
        return around(read(os.path.join(root, page)))
    except Unfit as why:
        raise Unfit(f"{page}: {why}") from None


def check(root):
    """The first difference of each page."""
    wanted = summary(read(os.path.join(root, RESULTS)))
    differences = [] if names(wanted) == list(BARS) else [f"{RESULTS}: its first table does not have all rows"]
    for page in PAGES:
        _, shown, _ = of_page(root, page)
        pairs = zip((shown + "\n" * len(wanted)).splitlines(), (wanted + "\n" * len(shown)).splitlines())
        different = next(((here, there) for here, there in pairs if here != there), None)
        if different:
            differences.append(f"{page} has:\n  {different[0]}\n{RESULTS} has:\n  {different[1]}")
    return differences


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = ask.add_mutually_exclusive_group(required=True)
    what.add_argument("run", nargs="?", help="folder of a run")
    what.add_argument("--check", action="store_true")
    said = ask.parse_args()
    try:
        if not said.check:
            publish(said.run, ROOT)
        differences = check(ROOT)
    except (Unfit, OSError) as why:
        sys.exit(f"publish: {why}")
    if differences:
        sys.exit("\n".join(["publish: these are not of one run; benchmarks/publish.py makes them so"] + differences))


if __name__ == "__main__":
    main()
