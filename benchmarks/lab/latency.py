"""PUT and GET in a swarm of eight processes, against rivals and raw limits, in turns."""

import time

from . import stats
from .raw import AROUND, AROUND_SIGNED, Raw
from .results import run_blocks
from .swarm import KadoroAwake, KadoroOnAsio, KadoroWithoutSpinning

VALUE_BYTES = 300
FAN_OUT = 7
REST_S = 0.3  # holders verify what was put once they are idle, eight of them on one core: that is not the reader's time


def measure_raw(raw, block, count):
    """Who waits for an answer sleeps, as the rows want it; `_spinning`: looks for it without end, as kadoro's asker does
    for a while, so that this is the floor."""
    small, large, signed = AROUND, AROUND + VALUE_BYTES, AROUND_SIGNED + VALUE_BYTES
    block.add("raw", "ping", raw.rounds(1, count, small, large))
    block.add("raw", "ping_sealed", raw.rounds(1, count, small, large, sealed=1))
    block.add("raw", "ping_sealed_spinning", raw.rounds(1, count, small, large, sealed=1, spin=1))
    block.add("raw", "ping_sealed_sign", raw.rounds(1, count, signed, small, sealed=1, sign=1))
    block.add("raw", "ping_sealed_verify", raw.rounds(1, count, small, signed, sealed=1, verify=1))
    for servers in (FAN_OUT, FAN_OUT + 1):
        block.add("raw", f"fanout_{servers}", raw.rounds(servers, count, large, small))
        block.add("raw", f"fanout_{servers}_sealed", raw.rounds(servers, count, large, small, sealed=1))
        block.add("raw", f"fanout_{servers}_sealed_spinning", raw.rounds(servers, count, large, small, sealed=1, spin=1))
        block.add("raw", f"fanout_{servers}_sealed_servers_verify",
                  raw.rounds(servers, count, signed, small, sealed=1, servers_verify=1))
        block.add("raw", f"fanout_{servers}_sealed_sign", raw.rounds(servers, count, signed, small, sealed=1, sign=1))
    for what in ("sign", "verify", "x25519", "sha256"):
        block.add("raw", what, raw.crypto(what, count, VALUE_BYTES))


def checked(swarm, operation, said, allowed=0.0):
    if said["failures"] > allowed * (len(said["us"]) + said["failures"]):
        raise RuntimeError(f"{swarm.name}: {said['failures']} times {operation} failed: {said['why']}")
    return said


def measure_swarm(swarm, block, number, count, kinds):
    """Puts, and gets by a node that was not there when the values were put. The very first of each are for warmth."""
    tag = f"latency{number}"
    count = min(swarm.at_most(count), swarm.fresh_for or count)
    for kind in kinds:
        warm = dict(kind=kind, tag=tag + "w", bytes=VALUE_BYTES, count=swarm.warm)
        timed = dict(kind=kind, tag=tag, bytes=VALUE_BYTES, count=count)
        with swarm.putting() as putter:
            checked(swarm, "put", putter.ask("put", **warm), swarm.failures_allowed)
            said = checked(swarm, "put", putter.ask("put", **timed), swarm.failures_allowed)
        swarm.check_copies(said, FAN_OUT)
        block.add(swarm.name, f"put_{kind}", said["us"])
    time.sleep(REST_S)
    with swarm.asking() as asker:
        for kind in kinds:
            warm = dict(kind=kind, tag=tag + "w", bytes=VALUE_BYTES, count=swarm.warm)
            timed = dict(kind=kind, tag=tag, bytes=VALUE_BYTES, count=count)
            checked(swarm, "get", asker.ask("get", **warm), swarm.failures_allowed)
            said = checked(swarm, "get", asker.ask("get", **timed), swarm.failures_allowed)
            block.add(swarm.name, f"get_{kind}", said.get("first_us") or said["us"])
            if "first_us" in said:
                block.add(swarm.name, f"get_{kind}_done", said["us"])
            if kind == "signed" and swarm.name == "kadoro":
                again = checked(swarm, "get", asker.ask("get", **timed))
                block.add(swarm.name, "get_signed_cached", again["us"])


def run(machine, results, rivals, blocks, count):
    raw = Raw(machine)
    swarms = [KadoroAwake(machine, io=machine.backend), KadoroWithoutSpinning(machine, io=machine.backend)]
    if machine.backend == "auto" and swarms[0].backend != "asio":
        swarms.append(KadoroOnAsio(machine, io="asio"))
    swarms += [rival(machine) for rival in rivals]
    try:
        def measure(block):
            measure_raw(raw, block, count // 2)
            for swarm in block.in_turn(swarms):
                swarm.be_fresh()
                measure_swarm(swarm, block, block.number, count, swarm.kinds)
            time.sleep(REST_S)  # what they leave to do is no noise of the machine
            measure_raw(raw, block, count - count // 2)

        run_blocks(results, "latency", blocks, measure, raw.ping)
        spinning(machine, results, raw, count)
    finally:
        for swarm in swarms:
            swarm.stop()
        raw.stop()
    judge(results)


def spinning(machine, results, raw, count):
    """Beside the blocking ping-pong, for comparison: both ends ask without end whether something has come."""
    from .raw import EchoServer

    server = EchoServer(machine, "spin")
    try:
        for name, sealed in (("", 0), (" sealed,", 1)):
            said = raw.client.ask("rounds", servers=server.at, count=count, request=AROUND, answer=AROUND + VALUE_BYTES,
                                  spin=1, sealed=sealed)
            results.report("raw limits", f"ping-pong,{name} spinning, p50", stats.p50(said["us"]), "us")
    finally:
        server.stop()


def best_backend(results, operation):
    here = [who for who in ("kadoro", KadoroOnAsio.name) if results.has(who, operation)]
    return min(here, key=lambda who: results.figure(who, operation).median, default="kadoro"), operation


def judge(results):
    get, put = best_backend(results, "get_content"), best_backend(results, "put_content")
    results.compare("get_vs_pingpong", get, ("raw", "ping_sealed"))
    results.compare("get_vs_libtorrent", get, ("libtorrent", "get_content"))
    results.compare("get_vs_opendht", get, ("opendht", "get_content"))
    results.compare("get_signed", ("kadoro", "get_signed"), ("raw", "ping_sealed_verify"))
    results.compare("get_signed_cached", ("kadoro", "get_signed_cached"), ("kadoro", "get_content"))
    results.compare("put_vs_fanout", put, ("raw", "fanout_7_sealed"))
    results.compare("put_vs_libtorrent", put, ("libtorrent", "put_content"))
    results.compare("put_vs_opendht", put, ("opendht", "put_content"))
    results.compare("put_vs_rust", put, ("rust", "put_content"))
    results.compare("put_signed", ("kadoro", "put_signed"), ("raw", "fanout_7_sealed_sign"))
