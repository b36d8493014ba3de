#!/usr/bin/env python3
"""Runs the benchmark suite on programs that are built already; ./scripts/bench builds them and calls this."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lab import cold_start, compile_cost, latency, memory, micro, report, throughput, trouble, wan  # noqa: E402
from lab.machine import Machine, note, start  # noqa: E402
from lab.results import Results  # noqa: E402
from lab.swarm import RIVALS, OpenDhtSigned  # noqa: E402

CHAPTERS = ["latency", "cold_start", "wan", "throughput", "trouble", "micro", "memory", "compile"]


def arguments():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--build", required=True, help="folder that CMake built in")
    ask.add_argument("--out", required=True, help="folder for CSV, JSON, Markdown and pictures")
    ask.add_argument("--quick", action="store_true", help="fewer blocks and rounds: at most five minutes")
    ask.add_argument("--json", action="store_true", help="one JSON object on stdout instead of the table")
    ask.add_argument("--io", default="auto", help="kadoro's backend: auto, asio, uring")
    ask.add_argument("--blocks", type=int, help="how many blocks of each chapter")
    ask.add_argument("--only", default=",".join(CHAPTERS), help="chapters, by commas: " + ",".join(CHAPTERS))
    ask.add_argument("--realtime", type=int, default=0, help="real-time priority of what is measured, on a busy machine")
    ask.add_argument("--jitter-ms", type=float, default=0, help="at a distance, up to so much more each way")
    ask.add_argument("--loss-percent", type=float, default=0, help="at a distance, of packets, each way")
    return ask.parse_args()


SKIPPED_WITHOUT = {
    "libtorrent": ("get_vs_libtorrent", "put_vs_libtorrent", "cold_start_vs_libtorrent", "gets_vs_libtorrent"),
    "rust": ("put_vs_rust", "cold_start_vs_rust"),
    "rust_latest": ("the latest rust-libp2p",),
    "js": ("js-libp2p",),
    "opendht": ("get_vs_opendht", "put_vs_opendht", "cold_start", "gets_vs_opendht", "rss_per_node"),
}


NO_ROW = ("rust_latest", "js")


def rivals_of(machine, results, quick):
    """Those that were built; what is compared with the others is not measured, and says so."""
    here = []
    for rival in RIVALS:
        if quick and rival.name in NO_ROW:
            results.without("no row is about it, and --quick has five minutes", *SKIPPED_WITHOUT[rival.name])
        elif machine.program(rival.program):
            here.append(rival)
        else:
            results.without(f"{rival.name} was not found when this was built", *SKIPPED_WITHOUT[rival.name])
    return here


def options_of(ask):
    """Those that change what is measured, as they were given; nothing if all is as usual."""
    usual = {"quick": False, "io": "auto", "blocks": None, "only": ",".join(CHAPTERS), "realtime": 0, "jitter_ms": 0,
             "loss_percent": 0}
    given = [(name, vars(ask)[name]) for name in usual if vars(ask)[name] != usual[name]]
    said = " ".join(f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}") for name, value in given)
    return {"options": said} if said else {}


def versions_of(machine):
    out = {}
    for name in ("g++", "liburing-dev", "libasio-dev", "libsodium-dev", "nettle-dev", "libbenchmark-dev", "libopendht-dev",
                 "libtorrent-rasterbar-dev"):
        said = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True)
        if said.returncode == 0:
            out[name] = said.stdout
    here = os.path.dirname(os.path.abspath(__file__))
    said = subprocess.run(["git", "-C", here, "describe", "--always", "--dirty"], capture_output=True, text=True)
    if said.returncode == 0:
        out["kadoro"] = said.stdout.strip()
    return out


def in_words(backend, details):
    more = details.removeprefix(backend).removeprefix(": ")
    return f"{backend} ({more})" if more else backend


def backends_of(machine):
    """What each contestant says that it runs on, its version among it; for kadoro that is what `auto` came to, what of
    the system it uses, and why."""
    out = {}
    for name, program in [("backend", "kadoro_node")] + [(r.name, r.program) for r in RIVALS]:
        if machine.program(program):
            node = start(machine, program, None, listen="127.0.0.1:0", **({"io": machine.backend} if name == "backend" else {}))
            try:
                hello = node.read()
                out[name] = in_words(hello["backend"], hello.get("io", ""))
            finally:
                node.stop()
    return out


def run_chapter(chapter, ask, machine, results, rivals, blocks):
    if chapter == "latency":
        # No row is about these, and to make its keys and to sign takes OpenDHT long.
        signed = [OpenDhtSigned] if machine.program(OpenDhtSigned.program) and not ask.quick else []
        latency.run(machine, results, rivals + signed, blocks, 50 if ask.quick else 200)
    elif chapter == "cold_start":
        cold_start.run(machine, results, rivals, blocks)
    elif chapter == "wan":
        wan.run(machine, results, rivals, 2 if ask.quick else blocks, 5 if ask.quick else 10, ask.jitter_ms, ask.loss_percent)
    elif chapter == "throughput":
        throughput.run(machine, results, rivals, blocks, 0.5 if ask.quick else 1, ask.quick)
    elif chapter == "trouble":
        # Rivals take 15 s for many a put when packets are lost: not in five minutes.
        trouble.run(machine, results, [] if ask.quick else rivals, 2 if ask.quick else blocks, 200,
                    50 if ask.quick else 200)
    elif chapter == "micro":
        micro.run(machine, results, 3 if ask.quick else blocks, 0.02 if ask.quick else 0.2)
        micro.allocations(machine, results)
    elif chapter == "memory":
        memory.run(machine, results, rivals, 2 if ask.quick else blocks)
    elif chapter == "compile":
        compile_cost.run(machine, results, 1 if ask.quick else blocks)


def main():
    ask = arguments()
    # However it is told to end, it takes processes and network namespaces along.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit("bench: interrupted"))
    machine = Machine(ask.build, ask.io, ask.realtime)
    results = Results()
    rivals = rivals_of(machine, results, ask.quick)
    blocks = ask.blocks or (3 if ask.quick else 10)
    began = time.monotonic()
    chapters = ask.only.split(",")
    for chapter in chapters:
        if chapter not in CHAPTERS:
            sys.exit(f"bench: no such chapter: {chapter}; there are {', '.join(CHAPTERS)}")
    about = report.machine_text(machine, {**versions_of(machine), **backends_of(machine), **options_of(ask)})
    results.leave_out(chapter for chapter in CHAPTERS if chapter not in chapters)
    text, failed = "", []
    for chapter in chapters:
        note(f"chapter {chapter}, {time.monotonic() - began:.0f} s so far")
        try:
            run_chapter(chapter, ask, machine, results, rivals, blocks)
            results.end_chapter(chapter)
        except Exception as why:  # the other chapters count all the same
            note(f"FAILED chapter {chapter}: {why}")
            results.report(chapter, "FAILED", str(why), "")
            results.end_chapter(chapter, f"its chapter failed: {why}")
            failed.append(chapter)
        text = report.write(results, about, ask.out)
    print(json.dumps(report.as_json(results, about)) if ask.json else text)
    note(f"{time.monotonic() - began:.0f} s in all; files in {ask.out}")
    if failed:
        sys.exit(f"bench: failed: {', '.join(failed)}")


main()
