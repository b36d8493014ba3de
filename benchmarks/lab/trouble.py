"""One of eight stopped, packets lost, a slow peer."""

import signal
import time

from . import stats
from .distance import Distance, possible
from .latency import VALUE_BYTES, checked
from .raw import Raw
from .results import in_blocks, run_blocks
from .swarm import NODES, Kadoro

STOPPED = 5  # neither the seed nor the putter
LATE = 1.1  # so much later than its limit a put may end on a machine that wakes it late


def run(machine, results, rivals, blocks, count, distant_count):
    stopped(machine, results, blocks, count)
    bad_network(machine, results, rivals, distant_count)


def stopped(machine, results, blocks, count):
    raw = Raw(machine, servers=1)
    truth = []

    def measure(block):
        """A fresh swarm each time: the one before knows who was stopped."""
        swarm = Kadoro(machine, io=machine.backend)
        try:
            majority = dict(kind="content", bytes=VALUE_BYTES, count=count, quorum="majority")
            everybody = dict(kind="content", bytes=VALUE_BYTES, count=1, quorum="all")
            with swarm.asking() as asker:
                for tag in ("warm", "healthy"):
                    put = put_some(swarm, tag, majority)
                    get = get_some(swarm, asker, tag, count)
                block.add("kadoro", "put_healthy", put)
                block.add("kadoro", "get_healthy", get)
                victim = swarm.nodes[STOPPED]
                victim.send_signal(signal.SIGSTOP)
                block.add("kadoro", "put_stopped", put_some(swarm, "stopped", majority))
                block.add("kadoro", "get_stopped", get_some(swarm, asker, "stopped", count))
                with swarm.putting() as putter:
                    truth.append(tells_the_truth(putter, victim, everybody, block))
        except RuntimeError:
            truth.append(False)  # the block is thrown away, but not forgotten
            raise
        finally:
            swarm.nodes[STOPPED].send_signal(signal.SIGCONT)
            swarm.stop()

    try:
        run_blocks(results, "stopped", blocks, measure, raw.ping)
    finally:
        raw.stop()
    results.report("trouble", "swarms where nothing else failed, `all` failed by name, and then was degraded",
                   f"{sum(truth)} of {len(truth)}", "")
    for what, operation in (("the PUT to all with one of 8 stopped failed after", "put_all_fails_after_ms"),
                            ("the library's own limit for that", "give_up_ms")):
        results.report_blocks("trouble", what, ("kadoro", operation), "ms")
    results.compare("stopped_put", ("kadoro", "put_stopped"), ("kadoro", "put_healthy"), stats.p99, also=all(truth))
    results.compare("stopped_get", ("kadoro", "get_stopped"), ("kadoro", "get_healthy"), stats.p99, also=all(truth))
    for operation in ("put", "get"):  # those that meet the stopped one first are fewer than one in a hundred
        if results.has("kadoro", f"{operation}_stopped"):
            longest = results.figure("kadoro", f"{operation}_stopped", max)
            results.report("trouble", f"the longest {operation} of {count} with one of 8 stopped", longest.median / 1000,
                           "ms", in_blocks(stats.spread(longest.per_block) / 1000, len(longest.per_block)))


def put_some(swarm, tag, how):
    with swarm.putting() as putter:
        return checked(swarm, "put", putter.ask("put", tag=tag, **how))["us"]


def get_some(swarm, asker, tag, count):
    """The putter is back among those who answer: it would wait for the asker, which spins."""
    return checked(swarm, "get", asker.ask("get", kind="content", bytes=VALUE_BYTES, count=count, tag=tag))["us"]


def fails_in_time(victim, said, limit_s):
    """A put to all has failed, and names who did not answer, within the time after which the library gives up."""
    name = victim.address.rsplit("/", 1)[-1]
    return said["failures"] == 1 and name in said["why"] and said["seconds"] <= limit_s * LATE


def is_degraded(said):
    return said["failures"] == 0 and said["receipt"]["degraded"] and said["receipt"]["population"] == NODES - 2


def tells_the_truth(putter, victim, everybody, block):
    """A put to all fails in time; before as much time has passed again one succeeds without who was stopped, and its
    receipt says degraded."""
    limit_s = putter.give_up_s
    failed = putter.ask("put", tag="all0", **everybody)
    block.add("kadoro", "put_all_fails_after_ms", [failed["seconds"] * 1000])
    block.add("kadoro", "give_up_ms", [limit_s * 1000])
    give_up = time.monotonic() + limit_s
    number = 0
    while time.monotonic() < give_up:
        number += 1
        said = putter.ask("put", tag=f"all{number}", **everybody)
        if said["failures"] == 0:
            return fails_in_time(victim, failed, limit_s) and is_degraded(said)
        time.sleep(0.2)
    return False


def bad_network(machine, results, rivals, count):
    why_not = possible(machine)
    if why_not:
        results.skip(why_not, "2 % loss", "a slow peer")
        return
    machine = machine.unpinned()
    for name, conditions in (("2 % loss", {"loss_percent": 2}), ("a slow peer, +200 ms", {"slow": STOPPED, "slow_ms": 200})):
        with Distance(machine, rtt_ms=20) as lab:
            swarms = []
            try:
                swarms = [Kadoro(machine, lab.hosts(), io=machine.backend)] + [r(machine, lab.hosts()) for r in rivals]
                lab.change(**conditions)
                for swarm in swarms:
                    one_bad_network(results, name, swarm, count)
            finally:
                for swarm in swarms:
                    swarm.stop()


def one_bad_network(results, name, swarm, count):
    """At 20 ms; nothing is demanded of anybody here, so failures are figures, too. Who knows a quorum puts with two:
    libtorrent and OpenDHT always wait for all."""
    count = swarm.at_most(count)
    ask = dict(kind="content", bytes=VALUE_BYTES, count=count, in_flight=16)
    knows_quorum = swarm.name not in ("libtorrent", "opendht")
    steps = [("put, all,", swarm.putting, dict(ask, tag="all", quorum="all"))]
    if knows_quorum:
        steps.append(("put, majority,", swarm.putting, dict(ask, tag="most", quorum="majority")))
    steps.append(("get", swarm.asking, dict(ask, tag="all")))
    for what, taking_part, how in steps:
        with taking_part() as node:
            said = node.ask(what.split(",")[0], **how)
        us = said.get("first_us") or said["us"]
        for label, rank in (("p50", stats.p50), ("p99", stats.p99)):
            if us:
                results.report(name, f"{what} {label}, RTT 20 ms, {swarm.name}", rank(us) / 1000, "ms")
        results.report(name, f"{what} failures of {count}, {swarm.name}", said["failures"], "")
