"""How long it takes until everybody has found everybody, on the loopback, both cores for all."""

import statistics

from . import shards
from .raw import Raw
from .results import run_blocks

HOSTS = [(None, "127.0.0.1:0")] * (shards.SHARDS + 1)


def run(machine, results, rivals, blocks):
    raw = Raw(machine, servers=1)
    contestants = shards.contestants(machine, rivals)
    try:
        def measure(block):
            for each in contestants:
                times = shards.run_once(each, HOSTS)
                block.add(each.name, "cold_start_ms", [times.cold])
                block.add(each.name, "cold_start_since_main_ms", times.complete)

        run_blocks(results, "cold start", blocks, measure, raw.ping)
    finally:
        raw.stop()
    judge(results)


def judge(results):
    kadoro = ("kadoro", "cold_start_ms")
    results.compare("cold_start", kadoro, ("opendht", "cold_start_ms"), statistics.median)
    results.compare("cold_start_vs_libtorrent", kadoro, ("libtorrent", "cold_start_ms"), statistics.median)
    results.compare("cold_start_vs_rust", kadoro, ("rust", "cold_start_ms"), statistics.median)
