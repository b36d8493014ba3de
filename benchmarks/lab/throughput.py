"""Operations a second: at how many in flight, asked of one node or of eight, on each backend, on one core and two; what
they take on the wire; and answers a second of one core."""

import os
import signal
import statistics
import subprocess
import time

from . import stats
from .latency import VALUE_BYTES, checked
from .machine import start
from .raw import EchoServer, Raw
from .results import run_blocks
from .swarm import Kadoro, KadoroAsleep

IN_FLIGHT = (1, 4, 16, 32, 64, 256)
JUDGED = 32
REST_S = 1  # holders verify what was put once they are idle: that is not the reader's time
KEYS = 1000  # content that is asked for again and again: nobody keeps what it has read


def rate(said):
    return len(said["us"]) / said["seconds"]


def run(machine, results, rivals, blocks, seconds, quick):
    raw = Raw(machine, servers=1)
    swarms = []
    try:
        swarms = [Kadoro(machine, io=machine.backend)] + [rival(machine) for rival in rivals]
        for swarm in swarms:
            with swarm.putting() as putter:
                checked(swarm, "put", putter.ask("put", kind="content", tag="t", bytes=VALUE_BYTES,
                                          count=swarm.at_most(KEYS)), swarm.failures_allowed)
        with swarms[0].asking() as asker:
            gets_curve(results, swarms[0], asker, 4 * KEYS)
            puts_curve(results, swarms[0], asker)
            on_the_wire(results, swarms[0], asker)

            def measure(block, number=[0]):
                number[0] += 1
                gets_of(swarms[0], block, asker)
                signed_gets(swarms[0], block, asker, number[0])
                verify_us = stats.p50(raw.crypto("verify", 300, VALUE_BYTES))
                block.add("raw", "verifications/s", [1e6 / verify_us])
                for swarm in swarms[1:]:
                    with swarm.asking() as other:  # a fresh one: OpenDHT grows slow with every key that it has sought
                        gets_of(swarm, block, other)
                time.sleep(REST_S)  # what the last one leaves to its swarm is no noise of the machine

            run_blocks(results, "throughput", blocks, measure, raw.ping)
        if not quick:
            for swarm in swarms[1:]:
                with swarm.asking() as asker:
                    for part in (on_the_wire, gets_curve, puts_curve):
                        try:
                            part(results, swarm, asker)
                        except RuntimeError as why:  # too many in flight for that one: no row is about these
                            results.skip(str(why), f"the rest of {part.__name__} of {swarm.name}")
            one_serving(machine, results)
            backends_and_cores(machine, results)
            find_node_on_cores(machine, results)
    finally:
        for swarm in swarms:
            swarm.stop()
        raw.stop()
    answers(machine, results, blocks, seconds)
    if not quick:
        find_node_on_backends(machine, results, seconds)
    judge(results)


def ask_gets(swarm, asker, count, in_flight, kind="content", tag="t"):
    """`count` gets; of keys that are asked for again where there are more gets than keys."""
    count = swarm.at_most(count)
    us, seconds = [], 0.0
    while len(us) < count:
        said = checked(swarm, "get", asker.ask("get", kind=kind, tag=tag, bytes=VALUE_BYTES, count=min(KEYS, count),
                                               in_flight=in_flight), swarm.failures_allowed)
        if not said["us"]:
            raise RuntimeError(f"{swarm.name}: no get succeeds")
        us += said["us"]
        seconds += said["seconds"]
    return {"us": us, "seconds": seconds}


def gets_of(swarm, block, asker):
    """Some tenths of a second, after a few for warmth."""
    count = {"kadoro": 20, "libtorrent": 4}.get(swarm.name, 1) * KEYS
    ask_gets(swarm, asker, KEYS // 10, JUDGED)
    block.add(swarm.name, "gets/s", [rate(ask_gets(swarm, asker, count, JUDGED))])


def signed_gets(swarm, block, asker, number):
    """Each of another record, so that every one is verified."""
    with swarm.putting() as putter:
        checked(swarm, "put", putter.ask("put", kind="signed", tag=f"ts{number}", bytes=VALUE_BYTES, count=KEYS,
                                         in_flight=8))
    time.sleep(REST_S)
    block.add(swarm.name, "gets_signed/s", [rate(ask_gets(swarm, asker, KEYS, JUDGED, "signed", f"ts{number}"))])


def gets_curve(results, swarm, asker, count=KEYS):
    for in_flight in numbers_in_flight(swarm):
        gets = rate(ask_gets(swarm, asker, count if in_flight > 1 else KEYS, in_flight))
        results.report("throughput", f"gets/s at {in_flight} in flight, {swarm.name}", gets, "1/s")


def puts_curve(results, swarm, _asker):
    with swarm.putting() as putter:
        for in_flight in numbers_in_flight(swarm):
            said = checked(swarm, "put", putter.ask("put", kind="content", tag=f"c{in_flight}", bytes=VALUE_BYTES,
                                                    count=swarm.at_most(KEYS), in_flight=in_flight), swarm.failures_allowed)
            results.report("throughput", f"puts/s at {in_flight} in flight, {swarm.name}", rate(said), "1/s")


def numbers_in_flight(swarm):
    return [one for one in IN_FLIGHT if one <= swarm.at_most(one)]  # of a slow one, no more than it is asked for


def on_the_wire(results, swarm, asker):
    """What goes over the loopback for an operation, acknowledgements and headers of IP and UDP included."""

    def bytes_so_far():
        return int(open("/sys/class/net/lo/statistics/tx_bytes").read())

    def report(operation, process, tag):
        before = bytes_so_far()
        said = checked(swarm, operation, process.ask(operation, kind="content", tag=tag, bytes=VALUE_BYTES,
                                                     count=swarm.at_most(KEYS), in_flight=JUDGED),
                       swarm.failures_allowed)
        results.report("throughput", f"bytes on the wire, a {operation} of {VALUE_BYTES}, {swarm.name}",
                       (bytes_so_far() - before) / max(1, len(said["us"])), "bytes")

    report("get", asker, "t")
    with swarm.putting() as putter:
        report("put", putter, "wire")


def backends_and_cores(machine, results):
    """Eight nodes and the asker on one core, and as everywhere else."""
    for io in ("asio", "uring"):
        for cores, place, kind in ((1, machine.on_one_core(), KadoroAsleep), (2, machine, Kadoro)):
            try:
                swarm = kind(place, io=io)
            except RuntimeError:
                results.skip(f"no backend {io} in this build, or none that works here", f"gets/s and puts/s on {io}")
                break
            try:
                where = f"at {JUDGED} in flight, {io}, cores: {cores}, kadoro"
                with swarm.putting() as putter:
                    said = checked(swarm, "put", putter.ask("put", kind="content", tag="t", bytes=VALUE_BYTES,
                                                            count=KEYS, in_flight=JUDGED))
                    results.report("throughput", f"puts/s {where}", rate(said), "1/s")
                with swarm.asking() as asker:
                    results.report("throughput", f"gets/s {where}", rate(ask_gets(swarm, asker, 4 * KEYS, JUDGED)), "1/s")
            finally:
                swarm.stop()


class Rendezvous:
    """The example that answers FIND_NODE with a thread for each core it may use, all on one port. Its backend is what
    the environment says."""

    def __init__(self, machine, core):
        program = os.path.join(machine.build, "examples", "find_node_server")
        self.process = subprocess.Popen(machine.prefix(core) + [program, "127.0.0.1:0"], stdout=subprocess.PIPE,
                                        text=True, env=dict(os.environ, KADORO_IO=machine.backend))
        self.address = self.process.stdout.readline().split()[-1]

    def cpu_s(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate()


def find_node_on_cores(machine, results):
    """By eight who ask, on both cores: which thread answers whom is drawn by the system from the ports."""
    askers_count, count = 8, 20000
    for cores, core in ((1, machine.answering_core), (2, None)):
        server = Rendezvous(machine, core)
        others = []
        try:
            known = [start(machine, "kadoro_node", None, listen="127.0.0.1:0", bootstrap=server.address, io=machine.backend)
                     for _ in range(4)]
            askers = [start(machine, "find_node_load", None, server=server.address, io=machine.backend)
                      for _ in range(askers_count)]
            others = known + askers
            for each in others:
                each.read()
            time.sleep(REST_S)
            for each in askers:
                each.ask("run", count=1000)
            before, began = server.cpu_s(), time.monotonic()
            for each in askers:
                each.say("run", count=count, in_flight=16)
            answered = sum(each.read()["answered"] for each in askers)
            worked, took = server.cpu_s() - before, time.monotonic() - began
            what = f"rendezvous with threads: {cores}"
            results.report("throughput", f"FIND_NODE answers for each second of a core, {what}", answered / worked, "1/s")
            results.report("throughput", f"FIND_NODE answers/s, askers on the same cores, {what}",
                           answered / took, "1/s")
        finally:
            for each in others:
                each.stop()
            server.stop()


def one_serving(machine, results):
    """One node, one who asks, a core each."""
    pair = Kadoro(machine, hosts=[(None, "127.0.0.1:0")] * 3, io=machine.backend)
    try:
        with pair.putting() as putter:
            putter.ask("put", kind="content", tag="t", bytes=VALUE_BYTES, count=KEYS)
        pair.nodes[1].stop()
        pair.nodes = pair.nodes[:1]
        with pair.asking() as asker:
            for in_flight in IN_FLIGHT:
                gets = rate(ask_gets(pair, asker, 4 * KEYS, in_flight))
                results.report("throughput", f"gets/s, one serving at {in_flight} in flight, kadoro", gets, "1/s")
            for in_flight in IN_FLIGHT:
                puts = rate(checked(pair, "put", asker.ask("put", kind="content", tag=f"one{in_flight}", count=KEYS,
                                                           bytes=VALUE_BYTES, in_flight=in_flight)))
                results.report("throughput", f"puts/s, one serving at {in_flight} in flight, kadoro", puts, "1/s")
    finally:
        pair.stop()


def answers(machine, results, blocks, seconds):
    """Answers for each second that the server's core has worked: so no client, and a kadoro client takes more than a
    server, is the limit."""
    swarm = Kadoro(machine, io=machine.backend)
    server = swarm.nodes[3]
    asker = start(machine, "find_node_load", machine.asking_core, server=server.address, io=machine.backend)
    echo, raw = EchoServer(machine), Raw(machine, servers=1)
    backends = backend_echoes(machine, results)
    try:
        asker.read()
        asker.ask("run", count=5000)

        def per_core_second(cpu_s, work):
            before = cpu_s()
            said = work()
            if said.get("lost", 0) > said["answered"] / 100 or said.get("failures", 0) > said["answered"] / 100:
                raise RuntimeError(f"too much is lost: {said}")
            return said, said["answered"] / (cpu_s() - before)

        def measure(block):
            said, find_node = per_core_second(lambda: server.ask("usage")["cpu_s"],
                                              lambda: asker.ask("run", count=int(40000 * seconds), in_flight=64))
            block.add("kadoro", "find_node/core_s", [find_node])
            block.add("kadoro", "find_node/s", [said["answered"] / said["seconds"]])
            block.add("kadoro", "find_node_request_bytes", [said["request_bytes"]])
            block.add("kadoro", "find_node_answer_bytes", [said["answer_bytes"]])
            for name, sealed in (("echo", 0), ("sealed_echo", 1)):
                ask = dict(servers=echo.at, count=int(100000 * seconds), request=said["request_bytes"],
                           answer=said["answer_bytes"], in_flight=64, sealed=sealed)
                got, per_core = per_core_second(echo.cpu_s, lambda: raw.client.ask("rate", **ask))
                block.add("raw", f"{name}/core_s", [per_core])
                block.add("raw", f"{name}/s", [got["answered"] / got["seconds"]])
            for name, other in backends.items():
                ask = dict(servers=other.at, count=int(100000 * seconds), request=100, answer=100, in_flight=64)
                got, per_core = per_core_second(lambda: other.ask("usage")["cpu_s"], lambda: raw.client.ask("rate", **ask))
                block.add(name, "io_echo/core_s", [per_core])
                block.add(name, "io_echo/s", [got["answered"] / got["seconds"]])

        run_blocks(results, "answers", blocks, measure, raw.ping)
    finally:
        for each in [swarm, asker, echo, raw] + list(backends.values()):
            each.stop()


def find_node_on_backends(machine, results, seconds):
    for io in ("asio", "uring"):
        try:
            swarm = Kadoro(machine, io=io)
        except RuntimeError:
            results.skip(f"no backend {io} in this build, or none that works here", f"FIND_NODE on {io}")
            continue
        asker = start(machine, "find_node_load", machine.asking_core, server=swarm.nodes[3].address, io=io)
        try:
            asker.read()
            asker.ask("run", count=5000)
            before = swarm.nodes[3].ask("usage")["cpu_s"]
            said = asker.ask("run", count=int(40000 * seconds), in_flight=64)
            worked = swarm.nodes[3].ask("usage")["cpu_s"] - before
            results.report("throughput", f"FIND_NODE answers for each second of a core, {io}", said["answered"] / worked,
                           "1/s")
            results.report("throughput", f"FIND_NODE answers/s, {io}", said["answered"] / said["seconds"], "1/s")
        finally:
            asker.stop()
            swarm.stop()


def backend_echoes(machine, results):
    """The same echo on each backend there is, and by hand on io_uring."""
    out = {}
    for name, program, settings in (("asio", "io_echo", {"io": "asio"}), ("uring", "io_echo", {"io": "uring"}),
                                    ("raw_uring", "uring_echo", {})):
        if not machine.program(program):
            continue
        process = start(machine, program, machine.answering_core, **settings)
        try:
            process.at = process.read()["address"]
            out[name] = process
        except RuntimeError:
            process.process.wait()
    if "uring" not in out or "raw_uring" not in out:
        results.skip("no io_uring backend in this build, or none that works here", "uring_vs_raw", "asio_vs_uring")
    return out


def judge(results):
    kadoro, median = ("kadoro", "gets/s"), statistics.median
    results.compare("gets_vs_opendht", kadoro, ("opendht", "gets/s"), median)
    results.compare("gets_vs_libtorrent", kadoro, ("libtorrent", "gets/s"), median)
    results.compare("gets_signed", ("kadoro", "gets_signed/s"), ("raw", "verifications/s"), median)
    find_node = ("kadoro", "find_node/core_s")
    results.compare("find_node_vs_echo", find_node, ("raw", "echo/core_s"), median)
    results.compare("find_node_vs_sealed_echo", find_node, ("raw", "sealed_echo/core_s"), median)
    if results.has("uring", "io_echo/core_s") and results.has("raw_uring", "io_echo/core_s"):
        results.compare("uring_vs_raw", ("uring", "io_echo/core_s"), ("raw_uring", "io_echo/core_s"), median)
        results.compare("asio_vs_uring", ("asio", "io_echo/core_s"), ("uring", "io_echo/core_s"), median)
