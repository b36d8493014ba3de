"""Small parts in a loop, and allocations, exactly."""

import json
import subprocess

from . import stats
from .machine import start


def run(machine, results, repetitions, seconds):
    command = machine.prefix(machine.answering_core) + [
        machine.program("micro"), "--benchmark_format=json", f"--benchmark_repetitions={repetitions}",
        f"--benchmark_min_time={seconds}", "--benchmark_enable_random_interleaving=true"]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for one in said["benchmarks"]:
        if one["run_type"] == "iteration":
            per_item = 1e9 / one["items_per_second"] if "items_per_second" in one else one["cpu_time"]
            results.add("micro", one["run_name"].split("/iterations")[0] + "_ns", [per_item])
    for contestant, operation in list(results.blocks):
        if contestant == "micro":
            results.report_blocks("micro", operation.removesuffix("_ns"), (contestant, operation), "ns")
    results.compare("closest_k", ("micro", "closest_k/331_ns"), ("micro", "closest_flat/331_ns"), stats.p50)


def allocations(machine, results):
    counted = start(machine, "allocations", None, io=machine.backend)
    said = counted.read()
    counted.process.wait()
    for name in ("answer", "get", "put"):
        results.judge(f"alloc_{name}", said[name])
    results.report("allocations", "nodes asked for a get", said["answers_per_get"], "")
    results.report("allocations", "a lookup of the closest", said["lookup"], "")
    results.report("allocations", "kept by who puts a new value", said["put_keeps"], "")
    results.report("allocations", "kept by each who stores it", said["answer_put_keeps"], "")
