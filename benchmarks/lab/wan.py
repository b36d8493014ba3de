"""At a distance of 76 ms: PUT and GET between nodes that know each other, a swarm that starts, and the system before kadoro."""

import time

from . import shards, stats
from .distance import Distance, possible
from .latency import VALUE_BYTES, checked
from .machine import note, start
from .raw import Raw
from .results import in_blocks, run_blocks
from .swarm import Kadoro

RTT_MS = 76
FAILING_PUTS = 5
ROWS = ("wan_put_all", "wan_get", "wan_announced", "wan_complete")


def run(machine, results, rivals, blocks, count, jitter_ms, loss_percent):
    why_not = possible(machine)
    if why_not:
        results.skip(why_not, *ROWS)
        return
    machine = machine.unpinned()
    with Distance(machine, rtt_ms=RTT_MS, jitter_ms=jitter_ms, loss_percent=loss_percent) as lab:
        raw = Raw(machine, servers=1, inside=lab.names, listen=[listen for _, listen in lab.hosts()],
                  may_lose=loss_percent > 0)
        near = Raw(machine, servers=1)  # over such a distance no noise of the machine shows
        swarms = []
        try:
            swarms = [Kadoro(machine, lab.hosts(), io=machine.backend)] + [r(machine, lab.hosts()) for r in rivals]
            starters = shards.contestants(machine, rivals)

            def measure(block):
                block.add("raw", "wan_ping", raw.ping(20))
                for swarm in block.in_turn(swarms):
                    swarm.be_fresh()
                    put_and_get(swarm, block, f"wan{block.number}", count)
                watched(swarms[0], block, f"watched{block.number}", count)
                for each in starters:
                    times = shards.run_once(each, lab.hosts(4001))
                    block.add(each.name, "wan_announced_ms", times.announced)
                    block.add(each.name, "wan_complete_ms", times.complete)

            run_blocks(results, "distance", blocks, measure, near.ping)
            for swarm in swarms:
                if swarm.name in ("kadoro", "rust"):
                    put_to_a_client(swarm, machine, lab.hosts(4002), results)
        finally:
            for swarm in swarms:
                swarm.stop()
            raw.stop()
            near.stop()
    judge(results)


def put_and_get(swarm, block, tag, count):
    with swarm.putting() as putter:
        said = checked(swarm, "put", putter.ask("put", kind="content", tag=tag, bytes=VALUE_BYTES, count=count),
                       swarm.failures_allowed)
        block.add(swarm.name, "wan_put", said["us"])
    with swarm.asking() as asker:
        said = checked(swarm, "get", asker.ask("get", kind="content", tag=tag, bytes=VALUE_BYTES, count=count),
                       swarm.failures_allowed)
        block.add(swarm.name, "wan_get", said.get("first_us") or said["us"])


def watched(swarm, block, key, count):
    """From the begin of a put until one who holds nothing of it has heard of it: their clock is the same."""
    with swarm.putting() as putter, swarm.asking() as watcher:
        watcher.ask("watch", key=key)
        said = putter.ask("say", key=key, bytes=VALUE_BYTES, count=count)
        heard = watcher.ask("heard", count=count)
    if said["failures"] or len(heard["mono_us"]) != count:
        note(f"{swarm.name}: of {count} puts {said['failures']} failed, a watcher heard of {len(heard['mono_us'])}")
        return
    block.add(swarm.name, "wan_watch", [at - began for began, at in zip(said["mono_us"], heard["mono_us"])])


def put_to_a_client(contestant, machine, hosts, results):
    """What the system before kadoro was, without knowing it: everybody a client of the DHT, the rendezvous too. A PUT there
    has to fail; after how long, and with which words?"""
    nodes = []
    try:
        for i in (0, 1):
            inside, listen = hosts[i]
            seed = {"bootstrap": nodes[0].read()["address"]} if i else {}
            nodes.append(start(machine, contestant.program, None, inside, listen=listen, mode="client", **seed))
        nodes[1].read()
        time.sleep(1)  # until they have shaken hands
        said = [nodes[1].ask("put", kind="content", tag=f"nobody{i}", bytes=VALUE_BYTES, count=1)
                for i in range(FAILING_PUTS)]
    except RuntimeError as why:
        note(f"{contestant.name}, rendezvous a client: {why}")
        return
    finally:
        for node in nodes:
            node.stop()
    if not all(one["failures"] for one in said):
        note(f"{contestant.name}: a PUT succeeded where nobody stores")
        return
    what = f"all are clients, {contestant.name}: a PUT fails with `{said[-1]['why']}` after"
    results.report("distance", what.replace("|", "/"), stats.p50([one["seconds"] * 1000 for one in said]), "ms")


def judge(results):
    if not results.has("raw", "wan_ping"):
        return
    rtt_us = results.figure("raw", "wan_ping")
    rtt_ms = stats.Figure(us / 1000 for us in rtt_us.per_block)
    results.report("distance", "ping-pong p50", rtt_ms.median, "ms",
                   in_blocks(stats.spread(rtt_ms.per_block), len(rtt_ms.per_block)))
    contestants = sorted({who for who, operation in results.blocks if operation == "wan_put"})

    def in_rtt(who, operation, summary, unit):
        return stats.ratio(results.figure(who, operation, summary), unit)

    if results.has("kadoro", "wan_watch"):  # docs/watch.md promises 1.1
        value, spread = in_rtt("kadoro", "wan_watch", stats.p50, rtt_us)
        heard = in_blocks(spread, len(results.blocks["kadoro", "wan_watch"]))
        results.report("distance", "a watcher hears of a PUT, p50, kadoro", value, "RTT", heard)

    for row, operation, summary, unit in (("wan_put_all", "wan_put", stats.p50, rtt_us),
                                          ("wan_get", "wan_get", stats.p50, rtt_us),
                                          ("wan_announced", "wan_announced_ms", max, rtt_ms),
                                          ("wan_complete", "wan_complete_ms", max, rtt_ms)):
        best_rival = None
        for who in contestants:
            if not results.has(who, operation):
                continue
            value, spread = in_rtt(who, operation, summary, unit)
            results.report("distance", f"{operation.removesuffix('_ms')}, {who}", value, "RTT",
                           in_blocks(spread, len(results.blocks[who, operation])))
            if summary is max:  # by the last node, which a rival's that puts again is later than most of its nodes
                half, spread = in_rtt(who, operation, stats.p50, unit)
                results.report("distance", f"{operation.removesuffix('_ms')} of half of the nodes, {who}", half, "RTT",
                               in_blocks(spread, len(results.blocks[who, operation])))
            if who != "kadoro":
                best_rival = value if best_rival is None else min(best_rival, value)
        if not results.has("kadoro", operation):
            continue
        value, spread = in_rtt("kadoro", operation, summary, unit)
        against_rivals = row in ("wan_announced", "wan_complete") and best_rival is not None
        results.judge(row, value, spread, not against_rivals or value < best_rival,
                      len(results.blocks["kadoro", operation]))
