#!/usr/bin/env python3
"""The house rules of kadoro as a test. Python's standard library only.

  tidy.py ROOT          checks the repository at ROOT; prints file:line: rule: why, exits 1 if anything was found
  tidy.py --self-test   checks that every rule reports what it forbids and lets pass what it allows
"""

import os
import re
import sys
from dataclasses import dataclass

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import cpp_lexer  # noqa: E402

# A header includes only from its own floor or from below.
FLOORS = {
    "base": 0, "coro": 1, "io": 2, "crypto": 3, "multiformats": 3, "wire": 4, "transport": 5, "kad": 6, "directory": 7,
}  # fmt: skip
BACKENDS = ("io/asio", "io/lmdb", "io/posix", "io/system", "io/uring")
PLATFORM_HEADER = re.compile(
    r"^(?:sys/|netinet/|arpa/|net/|netpacket/|linux/|bits/|asio(?:\.hpp|/)|liburing|lmdb\.h$|"
    r"(?:unistd|fcntl|poll|netdb|signal|pthread|dirent|ifaddrs|sched|termios|syslog|dlfcn|spawn)\.h$|csignal$)"
)
CLOCKS_AND_CHANCE = re.compile(
    r"\b(?:system_clock|steady_clock|high_resolution_clock|utc_clock|file_clock|random_device|"
    r"mt19937(?:_64)?|minstd_rand0?|default_random_engine|\w+_distribution|random_shuffle|"
    r"gettimeofday|clock_gettime|arc4random\w*|drand48|srand)\b|\bstd::(?:rand|time|shuffle|sample)\b|"
    r"(?<![\w.:>])(?:rand|time)\s*\(\s*(?:NULL|nullptr|0)?\s*\)"
)
SLEEP = re.compile(r"\bthis_thread::sleep|(?<![\w.:>])(?:::)?(?:sleep|usleep|nanosleep)\s*\(|\bstd::\w*sleep\w*")
UNORDERED = re.compile(r"\bunordered_(?:multi)?(?:map|set)\b")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.MULTILINE)
HEADER_LINES_MAX = 450

CPP = (".hpp", ".ipp", ".cpp")
TEXT = CPP + (".md", ".py", ".sh", ".txt", ".cmake", ".in", ".json", ".yml", ".yaml")
# Folders where a real clock and chance of the platform are the point, or do no harm.
REAL_TIME = ("tests/integration/", "tests/consume/", "tests/toolchain/", "examples/", "benchmarks/", "tools/") + tuple(
    f"include/kadoro/{backend}/" for backend in BACKENDS
)


@dataclass(frozen=True)
class Finding:
    path: str
    line: int
    rule: str
    why: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.why}"


class Source:
    """One file, and the views of it that the rules look at, made once."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.is_cpp = path.endswith(CPP)
        self.code = cpp_lexer.code_of(text) if self.is_cpp else ""
        self.includes = []
        if self.is_cpp:
            for match in INCLUDE.finditer(text):
                if self.code[match.start() : match.end()].lstrip().startswith("#"):  # not one inside a comment
                    self.includes.append((cpp_lexer.line_of(text, match.start(1)), match.group(1)))

    def inside(self, *prefixes):
        return self.path.startswith(prefixes)

    def matches(self, pattern):
        for match in pattern.finditer(self.code):
            yield cpp_lexer.line_of(self.code, match.start()), match.group(0).strip()


def folder_of(header):
    """`kadoro/io/asio/impl/x.ipp` -> `io/asio`; None for the umbrella and src.hpp."""
    parts = header.split("/")[1:-1]
    if parts and parts[-1] in ("impl", "detail"):
        parts.pop()
    return "/".join(parts) or None


def backend_of(folder):
    return next((b for b in BACKENDS if folder == b or (folder or "").startswith(b + "/")), None)


def check_floors(source):
    if not source.inside("include/kadoro/"):
        return
    folder = folder_of(source.path[len("include/") :])
    if folder is None:
        return
    floor = FLOORS.get(folder.split("/")[0])
    if floor is None:
        yield 1, "floor", f"the folder {folder} stands on no floor; known: {', '.join(FLOORS)}"
        return
    for line, header in source.includes:
        if PLATFORM_HEADER.match(header) and not backend_of(folder):
            yield line, "platform", f"<{header}> may only be included in {', '.join(BACKENDS)}"
        if not header.startswith("kadoro/"):
            continue
        target = folder_of(header)
        target_floor = FLOORS.get((target or "").split("/")[0])
        if target_floor is None:
            yield line, "floor", f"{header} stands on no floor, a header names what it needs"
        elif target_floor > floor:
            yield line, "floor", f"{folder} (floor {floor}) must not include {header} (floor {target_floor})"
        elif backend_of(target) and backend_of(target) != backend_of(folder) and not backend_of(folder):
            yield line, "platform", f"{folder} must not include a backend ({header})"


def check_pragma_once(source):
    if source.path.endswith((".hpp", ".ipp")):
        first = next((line for line in source.code.splitlines() if line.strip()), "")
        if first.strip() != "#pragma once":
            yield 1, "pragma-once", "the first line of code in a header is #pragma once"


def check_length(source):
    if source.inside("include/") and source.path.endswith(".hpp"):
        lines = source.text.count("\n")
        if lines > HEADER_LINES_MAX:
            yield HEADER_LINES_MAX, "length", f"{lines} lines, more than {HEADER_LINES_MAX}: this is two headers"


def check_whitespace(source):
    for number, line in enumerate(source.text.split("\n"), 1):
        if line != line.rstrip():
            yield number, "whitespace", "trailing whitespace"
        if "\t" in line and source.is_cpp:
            yield number, "whitespace", "a tab"
    if source.text and not source.text.endswith("\n"):
        yield source.text.count("\n") + 1, "whitespace", "no newline at the end of the file"


def check_clocks(source):
    if source.is_cpp and not source.inside(*REAL_TIME):
        for line, what in source.matches(CLOCKS_AND_CHANCE):
            yield line, "clock", f"{what}: time and chance come from the io::context alone"


def check_sleep(source):
    if source.inside("tests/") and source.is_cpp:
        for line, what in source.matches(SLEEP):
            yield line, "sleep", f"{what} in a test: wait for the event, or let virtual time pass"


def check_unordered(source):
    if source.inside("include/kadoro/kad/record_store.hpp"):
        return  # finds by one, and goes through a list
    if source.inside(*(f"include/kadoro/{floor}/" for floor in ("coro", "transport", "kad", "directory"))):
        for line, what in source.matches(UNORDERED):
            yield line, "unordered", f"{what}: its order would leak into a simulated run; use std::map or a sorted vector"


def check_co_await(source):
    if not source.is_cpp or source.inside("tests/toolchain/"):
        return
    code = cpp_lexer.without_preprocessor(source.code)
    for item in cpp_lexer.statements(code):
        if isinstance(item, cpp_lexer.CoroutineLambda):
            yield (
                cpp_lexer.line_of(code, item.offset),
                "coroutine-capture",
                f"a coroutine lambda captures [{item.captures}]: pass it as a parameter, the lambda may die first",
            )
            continue
        line = cpp_lexer.line_of(code, item.awaits[0].offset)
        for found in item.awaits:
            at = cpp_lexer.line_of(code, found.offset)
            for caller in found.callers:
                if caller in ("if", "while", "for", "switch"):
                    yield at, "co_await", f"inside the condition of {caller}: g++ 12 may never run this function"
                elif re.fullmatch(r"[A-Z][A-Z0-9_]{2,}", caller):
                    yield at, "co_await", f"inside the macro {caller}: name the value first"
        if re.match(r"\s*(?:else\b|(?:if|for|while)\b)", item.text):
            yield line, "co_await", "under a condition or a loop without braces of its own"
        if "?" in item.text:
            yield line, "co_await", "a conditional operator in the same statement: use if and else"
        if item.has_braces:
            yield line, "co_await", "braces in the same statement: name the object first (g++ 12 destroys it twice)"
        if re.search(r"\bauto\s*&{0,2}\s*\[", item.text):
            yield line, "co_await", "a structured binding directly on co_await: name the value, then bind"
        elif re.search(r"(?<![\w\])\[])\[\s*[^\[\]\s][^\[\]]*\]", item.text):
            yield line, "co_await", "a capturing lambda in the same statement: name it first (g++ 12 destroys it twice)"


def check_links(source):
    if not (source.path.endswith(".md") and (source.inside("docs/") or "/" not in source.path)):
        return
    text = re.sub(r"^(```|~~~).*?^\1", lambda m: re.sub(r"[^\n]", "", m.group(0)), source.text, flags=re.M | re.S)
    for match in re.finditer(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)", text):
        target = match.group(1)
        if re.match(r"[a-z][a-z0-9+.-]*:|#|//", target):
            continue
        yield cpp_lexer.line_of(text, match.start()), "link", target


FILE_RULES = (
    check_floors, check_pragma_once, check_length, check_whitespace, check_clocks, check_sleep, check_unordered,
    check_co_await, check_links,
)  # fmt: skip


def check_bodies(sources):
    """Every .ipp is included by a header (header-only mode) and by the src.hpp of its part (compiled mode)."""
    included_by = {}
    for source in sources.values():
        for _, header in source.includes:
            included_by.setdefault("include/" + header, set()).add(source.path)
    for path in sorted(sources):
        if not (path.startswith("include/kadoro/") and path.endswith(".ipp")):
            continue
        backend = backend_of(folder_of(path[len("include/") :]))
        src = f"include/kadoro/{backend}/src.hpp" if backend else "include/kadoro/src.hpp"
        if src not in included_by.get(path, ()):
            yield Finding(path, 1, "src", f"not included by {src}")
        if not any(user.endswith(".hpp") and not user.endswith("/src.hpp") for user in included_by.get(path, ())):
            yield Finding(path, 1, "src", "no header includes it, header-only users would miss it")


def check_umbrella(sources):
    """kadoro.hpp includes every portable public header, and no backend."""
    umbrella = sources.get("include/kadoro.hpp")
    if umbrella is None:
        return
    listed = {header for _, header in umbrella.includes}
    for path in sorted(sources):
        header = path[len("include/") :]
        if not (path.startswith("include/kadoro/") and path.endswith(".hpp")) or "/impl/" in path or "/detail/" in path:
            continue
        folder = folder_of(header)
        if folder is None or backend_of(folder):
            if header in listed:
                yield Finding(umbrella.path, 1, "umbrella", f"{header} is for those who ask for it")
        elif header not in listed:
            yield Finding(umbrella.path, 1, "umbrella", f"{header} is missing")


def check(files):
    """All findings in `files`, a dict from path to text. Links may point at any of `files` or at a folder of them."""
    sources = {path: Source(path, text) for path, text in files.items()}
    known = set(files)
    for path in files:
        while "/" in path:
            path = path.rsplit("/", 1)[0]
            known.add(path)
    findings = []
    for source in sources.values():
        for rule in FILE_RULES:
            for line, name, why in rule(source):
                if name == "link":
                    target = os.path.normpath(os.path.join(os.path.dirname(source.path), why.split("#")[0]))
                    if target in known:
                        continue
                    why = f"{why} does not exist"
                findings.append(Finding(source.path, line, name, why))
    findings.extend(check_bodies(sources))
    findings.extend(check_umbrella(sources))
    return sorted(set(findings), key=lambda f: (f.path, f.line, f.rule, f.why))


def read_repository(root):
    files = {}
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(d for d in folders if d not in (".git", "build", "__pycache__") and not d.startswith("build-"))
        for name in sorted(names):
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, root)
            is_script = relative.startswith(("scripts/", ".ci/")) and "." not in name
            text = ""  # a file of another kind can still be the target of a link
            if name.endswith(TEXT) or is_script:
                with open(path, encoding="utf-8") as file:
                    text = file.read()
                if relative.startswith("tests/data/"):
                    text = ""
            files[relative] = text
    return files


def main(arguments):
    if arguments == ["--self-test"]:
        import self_test

        return self_test.run(check)
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    files = read_repository(arguments[0])
    checked = sum(path.startswith("include/kadoro/") for path in files)
    if checked == 0:
        print(f"tidy: no headers below {arguments[0]}/include/kadoro", file=sys.stderr)
        return 2
    findings = check(files)
    for finding in findings:
        print(finding)
    print(f"tidy: {len(files)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
