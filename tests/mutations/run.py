#!/usr/bin/env python3
"""Proves that the campaign can fail: builds kadoro with one mistake at a time, and sees whether the oracle notices.

Each NAME.mutation beside this file is one mistake; docs/simulation.md says how to write one. All that is built lies in
build/mutations: `tree` is a copy of the sources, where the mistakes are made, `build` is what came of it. They stay, so
that the next run only builds what differs.
"""

import argparse
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

here = Path(__file__).resolve().parent
root = here.parent.parent

copied = ("CMakeLists.txt", "cmake", "include", "tools")  # what the simulator is built from
clean_seeds = "1..40"  # without a mistake these must hold
seeds = "1..200"  # one of these must find each mistake
build_limit_s = 900
campaign_limit_s = 1800
least_mutations = 20
least_per_invariant = 2
not_of_the_oracle = ("crash", "hang", "exception")  # how a campaign calls a run that did not come to its end


class Wrong(Exception):
    """Something that a person has to put right."""


class Mutation:
    """One mistake: what it replaces, and what must notice."""

    def __init__(self, path):
        self.name = path.stem
        self.about = ""
        self.invariants = []
        self.flags = []
        self.edits = []  # (file, text, what becomes of it)
        file = None
        lines = path.read_text().splitlines()
        at = 0
        while at < len(lines):
            line = lines[at]
            word, _, rest = line.partition(":")
            if line.startswith("#"):
                self.about = (self.about + " " + line[1:].strip()).strip()
            elif word == "invariant":
                self.invariants = [name.strip() for name in rest.split(",")]
            elif word == "campaign":
                self.flags = rest.split()
            elif word == "file":
                file = rest.strip()
            elif line == "<<<<" and file is not None:
                try:
                    middle = lines.index("====", at)
                    end = lines.index(">>>>", middle)
                except ValueError:
                    raise Wrong(f"{self.name}: line {at + 1}: <<<< without ==== and >>>>") from None
                self.edits.append((file, "\n".join(lines[at + 1 : middle]), "\n".join(lines[middle + 1 : end])))
                at = end
            elif line.strip():
                raise Wrong(f"{self.name}: line {at + 1} makes no sense: {line}")
            at += 1
        if not self.about or not self.invariants or not self.edits:
            raise Wrong(f"{self.name}: it needs a comment, an invariant, and a text to replace")

    def check_names(self, known):
        for name in self.invariants:
            if name not in known:
                raise Wrong(f"{self.name}: there is no invariant {name}")

    def apply(self, tree):
        """The files it changes, with their new texts. Nothing is written."""
        changed = {}
        for file, text, becomes in self.edits:
            if not file.startswith("include/kadoro/") or not (tree / file).is_file():
                raise Wrong(f"{self.name}: there is no {file} in include/kadoro")
            before = changed.get(file) or (tree / file).read_text()
            times = before.count(text) if text.strip() else 0
            if times != 1:
                first = text.strip().splitlines()[0] if text.strip() else "(nothing)"
                raise Wrong(f"{self.name}: its text occurs {times} times in {file}, must be once: {first} ...")
            changed[file] = before.replace(text, becomes)
        return changed


def all_mutations():
    return [Mutation(path) for path in sorted(here.glob("*.mutation"))]


def known_invariants():
    text = (root / "tools/kadoro-sim/verdict.hpp").read_text()
    names = re.findall(r'"([1-8]_[a-z_]+)"', text)
    if not names:
        raise Wrong("verdict.hpp names no invariants")
    return names


def problems_of(mutations, known):
    """What is wrong with their texts and names, each in a line."""
    problems = []
    for mutation in mutations:
        try:
            mutation.check_names([*known, *not_of_the_oracle])
            mutation.apply(root)
        except Wrong as problem:
            problems.append(str(problem))
    return problems


def check_all():
    """What can be said without a build."""
    mutations = all_mutations()
    known = known_invariants()
    problems = problems_of(mutations, known)
    if len(mutations) < least_mutations:
        problems.append(f"{len(mutations)} mutations, must be {least_mutations} at least")
    for number in sorted({name[0] for name in known}):
        there = sum(any(name[0] == number for name in m.invariants) for m in mutations)
        if there < least_per_invariant:
            problems.append(f"{there} mutations for invariant {number}, must be {least_per_invariant} at least")
    if problems:
        raise Wrong("\n".join(problems))
    print(f"{len(mutations)} mutations apply")


def update_tree(tree):
    """Makes `tree` equal to the sources. What is equal already keeps its time, so it is not built again."""
    wanted = set()
    for name in copied:
        top = root / name
        for source in [top] if top.is_file() else sorted(top.rglob("*")):
            if not source.is_file():
                continue
            wanted.add(source.relative_to(root))
            write(tree / source.relative_to(root), source.read_bytes())
    for path in sorted(tree.rglob("*")):
        if path.is_file() and path.relative_to(tree) not in wanted:
            path.unlink()


def write(path, data):
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def run(command, out, limit):
    """The exit code; none if it took too long. Its output goes to `out`. Whatever it started ends with it."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=out[0], stderr=out[1], start_new_session=True
    )
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run_logged(command, log, limit):
    """Whether it ended well."""
    with open(log, "w") as out:
        code = run(command, (out, out), limit)
        if code is None:
            out.write(f"\nnot at its end after {limit} s\n")
        return code == 0


def tail(log, lines=15):
    return "\n".join(Path(log).read_text(errors="replace").splitlines()[-lines:])


class Workshop:
    """The tree, its build, and the campaigns on it."""

    def __init__(self, folder, jobs):
        self.tree = folder / "tree"
        self.build = folder / "build"
        self.log = folder / "build.log"
        self.jobs = jobs
        folder.mkdir(parents=True, exist_ok=True)
        self.lock = open(folder / "lock", "w")  # two at once would make their mistakes in the same files
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Wrong(f"another run is at work in {folder}") from None
        update_tree(self.tree)

    def configure(self):
        if (self.build / "build.ninja").is_file():
            return
        command = ["cmake", "-S", str(self.tree), "-B", str(self.build), "-G", "Ninja"]
        command += ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG"]
        command += ["-DKADORO_BUILD_TESTS=OFF", "-DKADORO_BUILD_EXAMPLES=OFF", "-DKADORO_BUILD_TOOLS=ON"]
        if shutil.which("ccache"):
            command.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
        if not run_logged(command, self.log, build_limit_s):
            raise Wrong("cmake fails:\n" + tail(self.log))

    def make(self):
        """Seconds it took; none if it does not build."""
        begin = time.monotonic()
        command = ["cmake", "--build", str(self.build), "--target", "kadoro-sim", "--parallel", str(self.jobs)]
        return time.monotonic() - begin if run_logged(command, self.log, build_limit_s) else None

    def campaign(self, which, flags):
        """What the campaign printed, and its exit code."""
        command = [str(self.build / "tools/kadoro-sim"), "campaign", "--seeds", which, "--jobs", str(self.jobs)]
        command += ["--json", "--stop-at-first", *flags]
        with tempfile.TemporaryFile() as out:
            code = run(command, (out, subprocess.DEVNULL), campaign_limit_s)
            if code is None:
                raise Wrong(f"the campaign was not at its end after {campaign_limit_s} s")
            out.seek(0)
            try:
                return json.loads(out.read()), code
            except ValueError:
                raise Wrong(f"the campaign printed no JSON, exit code {code}") from None


def first_finding(report):
    """The failing seed that comes first, and what it broke; what is about no seed, as recall, comes last."""
    of_seeds = [f for f in report["failing"] if "seed" in f]
    return of_seeds[0] if of_seeds else report["failing"][0]


def try_one(shop, mutation):
    """Builds it, runs the campaign, puts the files back. A row of the table."""
    row = {"name": mutation.name, "build": "-", "seeds": "-", "invariant": "-", "verdict": "", "detail": ""}
    changed = mutation.apply(shop.tree)
    originals = {file: (shop.tree / file).read_bytes() for file in changed}
    try:
        for file, text in changed.items():
            write(shop.tree / file, text.encode())
        took = shop.make()
        if took is None:
            row.update(verdict="DOES NOT BUILD", detail=tail(shop.log))
            return row
        row["build"] = f"{took:.0f}"
        report, code = shop.campaign(seeds, mutation.flags)
        if code == 0:
            row.update(seeds=str(report["seeds"]), verdict="SURVIVED")
        elif code == 1 and report["failing"]:
            found = first_finding(report)
            row["seeds"] = str(found.get("seed", report["seeds"]))
            row["invariant"] = found["invariant"]
            row["detail"] = found["detail"]
            row["verdict"] = "ok" if found["invariant"] in mutation.invariants else "WRONG INVARIANT"
        else:
            row["verdict"] = f"EXIT CODE {code}"
    except Wrong as problem:
        row.update(verdict="STOPPED", detail=str(problem))
    finally:
        for file, data in originals.items():
            write(shop.tree / file, data)
    return row


def show(row):
    print(
        f"{row['name']:<34} {row['build']:>7} {row['seeds']:>6}  {row['invariant']:<22} {row['verdict']}", flush=True
    )


heading = {"name": "mutation", "build": "build/s", "seeds": "seeds", "invariant": "invariant", "verdict": ""}


def hunt(mutations, shop, clean):
    shop.configure()
    if shop.make() is None:
        raise Wrong("without any mutation it does not build:\n" + tail(shop.log))
    if clean != "none":
        report, code = shop.campaign(clean, [])
        if code != 0:
            found = first_finding(report) if report["failing"] else {"invariant": f"exit code {code}", "detail": ""}
            raise Wrong(
                f"without any mutation seed {found.get('seed', '?')} breaks {found['invariant']}: {found['detail']}\n"
                "so what mutations break means nothing"
            )
        print(f"without any mutation nothing is broken in {report['seeds']} seeds\n")
    show(heading)
    rows = []
    for mutation in mutations:
        rows.append(try_one(shop, mutation))
        show(rows[-1])
        if rows[-1]["verdict"] != "ok" and rows[-1]["detail"]:
            print("    " + rows[-1]["detail"].replace("\n", "\n    "), flush=True)
    found = [row for row in rows if row["verdict"] == "ok"]
    if len(rows) > 1:
        print()
        show(heading)
        for row in sorted(rows, key=lambda r: r["verdict"] == "ok"):
            show(row)
    print(f"\n{len(found)} of {len(rows)} found")
    return len(found) == len(rows)


def main():
    parser = argparse.ArgumentParser(prog="scripts/mutations", description="Proves that the campaign can fail.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these; default: all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers, and runs, at a time")
    parser.add_argument("--list", action="store_true", help="say which there are")
    parser.add_argument("--check", action="store_true", help="only see whether all of them apply")
    parser.add_argument("--clean", default=clean_seeds, metavar="A..B", help="seeds that must hold first, or none")
    parser.add_argument("--folder", type=Path, default=root / "build/mutations", help="where to build")
    how = parser.parse_args()
    if how.check:
        check_all()
        return True
    mutations = all_mutations()
    if how.list:
        for mutation in mutations:
            print(f"{mutation.name:<34} {mutation.about}")
        return True
    unknown = set(how.names) - {mutation.name for mutation in mutations}
    if unknown:
        raise Wrong("there is no mutation " + ", ".join(sorted(unknown)))
    if how.names:
        mutations = [mutation for mutation in mutations if mutation.name in how.names]
    problems = problems_of(mutations, known_invariants())
    if problems:
        raise Wrong("\n".join(problems))
    return hunt(mutations, Workshop(how.folder.resolve(), how.jobs), how.clean)


if __name__ == "__main__":
    try:
        sys.exit(0 if main() else 1)
    except Wrong as problem:
        print(f"mutations: {problem}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
