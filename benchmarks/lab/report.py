"""The results as files: CSV, JSON, Markdown, and pictures by gnuplot."""

import contextlib
import csv
import json
import os
import platform
import shutil
import subprocess
import time

from . import stats
from .machine import note
from .rows import AT_MOST, BARS
from .stats import number


def machine_text(machine, versions):
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return {"date": time.strftime("%Y-%m-%d"), "cpu": f"{len(machine.cores)} x {cpu}", "kernel": platform.release(),
            **versions}


def as_json(results, about):
    """Every row is in it, but for those of chapters that were left out, which are among `skipped`."""
    skipped = [{"what": what, "why": why} for what, why in results.skipped.items()]
    return {"rows": results.in_order(), "machine": about, "skipped": skipped,
            "blocks_thrown_away": results.thrown_away,
            "failed": [chapter for chapter, what, *_ in results.figures if what == "FAILED"]}


def write_csv(results, folder):
    with open(os.path.join(folder, "blocks.csv"), "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["contestant", "operation", "block", "n", "p50", "p90", "p99"])
        for (contestant, operation), blocks in results.blocks.items():
            for number, block in enumerate(blocks, 1):
                ranks = [round(stats.percentile(block, share), 3) for share in (0.5, 0.9, 0.99)]
                out.writerow([contestant, operation, number, len(block)] + ranks)
    with open(os.path.join(folder, "figures.csv"), "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["chapter", "what", "value", "unit", "how"])
        out.writerows(results.figures)
    with open(os.path.join(folder, "rows.csv"), "w", newline="") as file:
        out = csv.writer(file)
        columns = ["name", "ratio", "spread", "bar", "met", "blocks", "why"]
        out.writerow(columns)
        out.writerows([r.get(column) for column in columns] for r in results.in_order())


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


FIGURES = ("Figures without a bar. Where `how` has a ±, half the distance between the quartiles of blocks, they are medians over "
           "these; where it has none they were measured once.")


def markdown(results, about):
    lines = [", ".join(f"{name}: {value}" for name, value in about.items()) + ".", ""]
    rows = []
    for r in results.in_order():
        direction, _, what = BARS[r["name"]]
        spread = "" if not r["spread"] else f" ± {number(r['spread'])}"
        met = {True: "yes", False: "**no**", None: "not measured"}[r["met"]]
        rows.append([r["name"], what, number(r["ratio"]) + spread, str(r["blocks"] or ""), f"{direction} {number(r['bar'])}", met])
    lines += table(["row", "what", "ratio", "blocks", "bar", "met"], rows)

    latencies = []
    for (contestant, operation), blocks in results.blocks.items():
        pool = results.pooled(contestant, operation)
        shown = [number(stats.percentile(pool, share)) for share in (0.5, 0.9, 0.99)]
        latencies.append([contestant, operation, str(len(blocks)), str(len(pool))] + shown)
    lines += ["", "All samples of all blocks. Microseconds, unless the name says something else.", ""]
    lines += table(["contestant", "operation", "blocks", "samples", "p50", "p90", "p99"], latencies)
    if results.figures:
        lines += ["", FIGURES, ""] + table(["chapter", "what", "value", "unit", "how"],
                                           [[c, w, number(v), u, h] for c, w, v, u, h in results.figures])
    if results.skipped:
        reasons = {}
        for name, why in results.skipped.items():
            reasons.setdefault(why, []).append(name)
        lines += ["", "Not measured:", ""] + [f"- {', '.join(names)}: {why}" for why, names in reasons.items()]
    return "\n".join(lines) + "\n"


# --- pictures

CURVES = {
    "get": [("raw", "ping_sealed"), ("kadoro", "get_content"), ("kadoro", "get_signed"), ("libtorrent", "get_content"),
            ("opendht", "get_content"), ("rust", "get_content"), ("rust_latest", "get_content"),
            ("js", "get_content")],
    "put": [("raw", "fanout_7_sealed"), ("kadoro", "put_content"), ("kadoro", "put_signed"),
            ("libtorrent", "put_content"), ("opendht", "put_content"), ("rust", "put_content"),
            ("rust_latest", "put_content"), ("js", "put_content")],
}
PICTURES = ("get.svg", "put.svg", "rows.svg", "throughput.svg")
STYLE = "set terminal svg size 900,480 font 'sans,13' background 'white'\nset grid\n"


def gnuplot(script, file):
    done = subprocess.run(["gnuplot"], input=f"{STYLE}set output '{file}'\n{script}", text=True, capture_output=True)
    if done.returncode:
        note(f"gnuplot: {done.stderr.strip()}")


def inline(name, rows):
    return f"${name} << EOD\n" + "\n".join(rows) + "\nEOD\n"


def draw_curves(results, operation, file):
    data, plots = "", []
    for contestant, what in CURVES[operation]:
        if not results.has(contestant, what):
            continue
        ordered = sorted(results.pooled(contestant, what))
        step = max(1, len(ordered) // 500)
        name = f"{contestant}_{what}"
        data += inline(name, [f"{ordered[i]} {(i + 1) / len(ordered)}" for i in range(0, len(ordered), step)])
        plots.append(f"${name} using 1:2 with lines lw 2 title '{contestant} {what}' noenhanced")
    if plots:
        gnuplot(data + "set logscale x\nset key bottom right\nset xlabel 'microseconds'\nset ylabel 'share'\n"
                f"set title '{operation.upper()}, 8 processes, loopback'\nplot " + ", ".join(plots), file)


def draw_rows(results, file):
    """Each row as a share of its bar, so that all that meet theirs end on the same side of 1."""
    rows = []
    for r in results.in_order():
        if r["ratio"] is None or not r["bar"] or not r["ratio"]:
            continue
        used = r["ratio"] / r["bar"] if BARS[r["name"]][0] == AT_MOST else r["bar"] / r["ratio"]
        rows.append(f'"{r["name"]}" {used} {1 if r["met"] else 2}')
    if rows:
        gnuplot(inline("rows", rows) + "set style fill solid 0.7\nset boxwidth 0.7\nset logscale y\nset xtics rotate by -50 "
                "noenhanced\nunset key\nset ylabel 'share of the bar used (1: just met)'\nset arrow from graph 0, first 1 "
                "to graph 1, first 1 nohead lw 2\nplot $rows using 0:2:3:xtic(1) with boxes lc variable", file)


def draw_throughput(results, file):
    """Figures that are called `gets/s KIND at N in flight, CONTESTANT`."""
    curves = {}
    for chapter, what, value, *_ in results.figures:
        if chapter == "throughput" and " in flight, " in what:
            operation, rest = what.split(" at ")
            flight, contestant = rest.split(" in flight, ")
            curves.setdefault(f"{contestant} {operation}", []).append(f"{flight} {value}")
    if curves:
        data = "".join(inline(f"c{i}", rows) for i, rows in enumerate(curves.values()))
        plots = [f"$c{i} using 1:2 with linespoints lw 2 title '{name}' noenhanced" for i, name in enumerate(curves)]
        gnuplot(data + "set logscale xy\nset key outside\nset xlabel 'operations in flight'\nset ylabel 'a second'\nplot " +
                ", ".join(plots), file)


def write(results, about, folder):
    os.makedirs(folder, exist_ok=True)
    write_csv(results, folder)
    with open(os.path.join(folder, "results.json"), "w") as file:
        json.dump(as_json(results, about), file, indent=1)
    text = markdown(results, about)
    with open(os.path.join(folder, "results.md"), "w") as file:
        file.write(text)
    for name in PICTURES:  # of an earlier run
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(folder, name))
    if shutil.which("gnuplot"):
        for operation in CURVES:
            draw_curves(results, operation, os.path.join(folder, f"{operation}.svg"))
        draw_rows(results, os.path.join(folder, "rows.svg"))
        draw_throughput(results, os.path.join(folder, "throughput.svg"))
    else:
        note("SKIPPED pictures: gnuplot is not installed")
    return text
