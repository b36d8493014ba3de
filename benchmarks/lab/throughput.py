"""Operations a second: at how many in flight, asked of one node or of eight, on each backend, on one core and two; what
they take on the wire; and answers a second of one core."""

import os
import signal
import statistics
import subprocess
import time

from . import stats
from .latency import FAN_OUT, VALUE_BYTES, checked
from .machine import start
from .raw import AROUND, EchoServer, Raw
from .results import run_blocks
from .swarm import Kadoro, KadoroAsleep

IN_FLIGHT = (1, 2, 4, 8, 16, 32, 64, 128, 256)
JUDGED = 32
OPENDHT_GETS = 200  # of each asker, which takes longer with every key that it has sought
UNJUDGED_BLOCKS = 5  # of what no row is about
SWEEP = "one sweep"
WARM_ECHOES = 5000
ASKERS = 8  # of answers a second: as many as the other nodes of a swarm are
REST_S = 1  # holders verify what was put once they are idle: that is not the reader's time
KEYS = 1000  # content that is asked for again and again: nobody keeps what it has read


def curves(results, swarms):
    for swarm in swarms:
        for part in (on_the_wire, gets_curve, puts_curve):
            try:
                part(results, swarm)
            except RuntimeError as why:  # too many in flight for that one: no row is about these
                results.skip(str(why), f"the rest of {part.__name__} of {swarm.name}")


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
        echoes = [EchoServer(machine) for _ in range(FAN_OUT)]

        def measure(block):
            for swarm in block.in_turn(swarms):
                with swarm.asking() as asker:
                    gets_of(swarm, block, asker)
                    if swarm.name == "kadoro":
                        signed_gets(swarm, block, asker, block.number)
            verify_us = stats.p50(raw.crypto("verify", 300, VALUE_BYTES))
            block.add("raw", "verifications/s", [1e6 / verify_us])
            said = raw.client.ask("rate", servers=",".join(each.at for each in echoes), askers=FAN_OUT, in_flight=5 * FAN_OUT,
                                  count=20 * KEYS, request=AROUND, answer=AROUND + VALUE_BYTES, sealed=1)
            block.add("raw", "sealed exchanges with seven/s", [said["answered"] / said["seconds"]])
            time.sleep(REST_S)  # what the last one leaves to its swarm is no noise of the machine

        try:
            run_blocks(results, "throughput", blocks, measure, raw.ping)
        finally:
            for each in echoes:
                each.stop()
        judge_gets(results)
        curves(results, swarms if not quick else swarms[:1])
        if not quick:
            signed_puts(machine, results, raw, min(blocks, UNJUDGED_BLOCKS))
            for swarm in swarms:
                swarm.stop()
            some = min(blocks, UNJUDGED_BLOCKS)
            one_serving(machine, results, raw, some)
            backends_and_cores(machine, results, raw, some)
            find_node_on_cores(machine, results, raw, some)
    finally:
        for swarm in swarms:
            swarm.stop()
        raw.stop()
    answers(machine, results, blocks, seconds)
    judge_answers(results)


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
    count = {"kadoro": 20 * KEYS, "libtorrent": 4 * KEYS, "opendht": OPENDHT_GETS}.get(swarm.name, KEYS)
    ask_gets(swarm, asker, swarm.warm, JUDGED)
    block.add(swarm.name, "gets/s", [rate(ask_gets(swarm, asker, count, JUDGED))])


def signed_gets(swarm, block, asker, number):
    """Each of another record, so that every one is verified."""
    with swarm.putting() as putter:
        checked(swarm, "put", putter.ask("put", kind="signed", tag=f"ts{number}", bytes=VALUE_BYTES, count=KEYS,
                                         in_flight=8))
    time.sleep(REST_S)
    block.add(swarm.name, "gets_signed/s", [rate(ask_gets(swarm, asker, KEYS, JUDGED, "signed", f"ts{number}"))])


def gets_curve(results, swarm):
    """Each by a fresh asker, as everywhere."""
    for in_flight in numbers_in_flight(swarm):
        count = {"kadoro": 4 * KEYS if in_flight > 1 else KEYS, "opendht": OPENDHT_GETS}.get(swarm.name, KEYS)
        with swarm.asking() as asker:
            ask_gets(swarm, asker, swarm.warm, in_flight)
            gets = rate(ask_gets(swarm, asker, count, in_flight))
        results.report("throughput", f"gets/s at {in_flight} in flight, {swarm.name}", gets, "1/s", SWEEP)


def puts_curve(results, swarm):
    count = KEYS if swarm.name == "kadoro" else KEYS // 2  # some take half a minute for a thousand
    with swarm.putting() as putter:
        for in_flight in numbers_in_flight(swarm):
            said = checked(swarm, "put", putter.ask("put", kind="content", tag=f"c{in_flight}", bytes=VALUE_BYTES,
                                                    count=swarm.at_most(count), in_flight=in_flight), swarm.failures_allowed)
            results.report("throughput", f"puts/s at {in_flight} in flight, {swarm.name}", rate(said), "1/s", SWEEP)


def numbers_in_flight(swarm):
    return [one for one in IN_FLIGHT if one <= swarm.at_most(one)]  # of a slow one, no more than it is asked for


def on_the_wire(results, swarm):
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

    with swarm.asking() as asker:
        report("get", asker, "t")
    with swarm.putting() as putter:
        report("put", putter, "wire")


class Place:
    """A swarm of one backend, with all on one core or as everywhere else, and one who asks it for contacts."""

    def __init__(self, machine, io, cores):
        self.io, self.cores = io, cores
        place, kind = (machine.on_one_core(), KadoroAsleep) if cores == 1 else (machine, Kadoro)
        self.name = f"{io}_cores_{cores}"
        self.swarm = kind(place, io=io)
        self.finder = start(place, "find_node_load", place.asking_core, server=self.swarm.nodes[3].address, io=io)
        self.finder.read()
        self.finder.ask("run", count=1000)

    def measure(self, block):
        with self.swarm.putting() as putter:
            said = checked(self.swarm, "put", putter.ask("put", kind="content", tag=f"p{block.number}", bytes=VALUE_BYTES,
                                                         count=KEYS, in_flight=JUDGED))
        block.add(self.name, "puts/s", [rate(said)])
        with self.swarm.asking() as asker:
            ask_gets(self.swarm, asker, KEYS // 10, JUDGED, tag=f"p{block.number}")
            said = ask_gets(self.swarm, asker, 10 * KEYS, JUDGED, tag=f"p{block.number}")
        block.add(self.name, "gets/s", [rate(said)])
        server = self.swarm.nodes[3]
        said, per_core = per_core_second(lambda: server.ask("usage")["cpu_s"],
                                         lambda: self.finder.ask("run", count=20 * KEYS, in_flight=64))
        block.add(self.name, "find_node/core_s", [per_core])
        block.add(self.name, "find_node/s", [said["answered"] / said["seconds"]])

    def stop(self):
        self.finder.stop()
        self.swarm.stop()


def signed_puts(machine, results, raw, blocks):
    """Holders verify when no put comes for a moment: here until all of them have, in a fresh swarm."""

    def measure(block):
        swarm = Kadoro(machine, io=machine.backend)

        def worked_s():
            return [node.ask("usage")["cpu_s"] for node in swarm.nodes]

        try:
            began = time.monotonic()
            with swarm.putting() as putter:
                said = checked(swarm, "put", putter.ask("put", kind="signed", tag="all", bytes=VALUE_BYTES, count=2 * KEYS,
                                                        in_flight=JUDGED))
            block.add("kadoro", "signed_puts/s", [rate(said)])
            last, ended = worked_s(), time.monotonic()
            while time.monotonic() < ended + 0.2:
                time.sleep(0.02)
                now = worked_s()
                if max(after - before for before, after in zip(last, now)) > 0.002:  # more than to answer that question
                    ended = time.monotonic()
                last = now
            block.add("kadoro", "signed_puts_verified/s", [2 * KEYS / (ended - began)])
        finally:
            swarm.stop()

    run_blocks(results, "signed puts", blocks, measure, raw.ping)
    for what, operation in (("stored by all seven", "signed_puts/s"), ("and verified by them", "signed_puts_verified/s")):
        results.report_blocks("throughput", f"signed puts/s with {JUDGED} under way, {what}, kadoro", ("kadoro", operation),
                              "1/s")


def backends_and_cores(machine, results, raw, blocks):
    """Both backends in turns, on one core and on two."""
    places = []
    try:
        for io in ("asio", "uring"):
            try:
                places += [Place(machine, io, cores) for cores in (1, 2)]
            except RuntimeError:
                results.skip(f"no backend {io} in this build, or none that works here",
                             f"puts, gets and FIND_NODE on {io}")

        def measure(block):
            for place in places:
                place.measure(block)

        run_blocks(results, "backends and cores", blocks, measure, raw.ping)
    finally:
        for place in places:
            place.stop()
    for what, operation in ((f"puts/s with {JUDGED} under way", "puts/s"), (f"gets/s with {JUDGED} under way", "gets/s"),
                            ("FIND_NODE answers for each second of a core", "find_node/core_s"),
                            ("FIND_NODE answers/s", "find_node/s")):
        for cores in (1, 2):
            asio, uring = (f"asio_cores_{cores}", operation), (f"uring_cores_{cores}", operation)
            results.report_blocks("throughput", f"{what}, asio, cores: {cores}", asio, "1/s")
            results.report_blocks("throughput", f"{what}, uring, cores: {cores}", uring, "1/s")
            results.report_ratio("throughput", f"{what}, asio / uring, cores: {cores}", asio, uring)


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


class Crowd:
    """A rendezvous with some contacts, and eight who ask it on both cores: which of its threads answers whom is drawn by
    the system from the ports."""

    ASKERS = 8

    def __init__(self, machine, core):
        self.server, self.known, self.askers = Rendezvous(machine, core), [], []
        try:
            for _ in range(4):
                self.known.append(start(machine, "kadoro_node", None, listen="127.0.0.1:0", bootstrap=self.server.address,
                                        io=machine.backend))
            for _ in range(self.ASKERS):
                self.askers.append(start(machine, "find_node_load", None, server=self.server.address, io=machine.backend))
            for each in self.known + self.askers:
                each.read()
            time.sleep(REST_S)
            for each in self.askers:
                each.ask("run", count=1000)
        except BaseException:
            self.stop()
            raise

    def run(self, count):
        began = time.monotonic()
        for each in self.askers:
            each.say("run", count=count, in_flight=16)
        said = [each.read() for each in self.askers]
        return {"answered": sum(one["answered"] for one in said), "failures": sum(one["failures"] for one in said),
                "seconds": time.monotonic() - began}

    def stop(self):
        for each in self.known + self.askers:
            each.stop()
        self.server.stop()


def find_node_on_cores(machine, results, raw, blocks):
    crowds = {}
    try:
        for cores, core in ((1, machine.answering_core), (2, None)):
            crowds[cores] = Crowd(machine, core)

        def measure(block):
            for cores, crowd in crowds.items():
                said, per_core = per_core_second(crowd.server.cpu_s, lambda: crowd.run(15 * KEYS))
                block.add(f"rendezvous_threads_{cores}", "find_node/core_s", [per_core])
                block.add(f"rendezvous_threads_{cores}", "find_node/s", [said["answered"] / said["seconds"]])

        run_blocks(results, "rendezvous", blocks, measure, raw.ping)
    finally:
        for crowd in crowds.values():
            crowd.stop()
    for cores in crowds:
        what = f"rendezvous with threads: {cores}"
        for kind, unit in (("FIND_NODE answers for each second of a core", "core_s"),
                           ("FIND_NODE answers/s, askers on the same cores", "s")):
            results.report_blocks("throughput", f"{kind}, {what}", (f"rendezvous_threads_{cores}", f"find_node/{unit}"), "1/s")


def one_serving(machine, results, raw, blocks):
    """One node, one who asks, a core each; fresh ones in every block, so that what was put does not pile up."""

    def measure(block):
        pair = Kadoro(machine, hosts=[(None, "127.0.0.1:0")] * 3, io=machine.backend)
        try:
            with pair.putting() as putter:
                putter.ask("put", kind="content", tag="t", bytes=VALUE_BYTES, count=KEYS)
            pair.nodes.pop().stop()
            with pair.asking() as asker:
                for in_flight in IN_FLIGHT:
                    gets = rate(ask_gets(pair, asker, 4 * KEYS, in_flight))
                    block.add("one_serving", f"gets/s at {in_flight} in flight", [gets])
                for in_flight in IN_FLIGHT:
                    puts = rate(checked(pair, "put", asker.ask("put", kind="content", tag=f"one{in_flight}", count=KEYS,
                                                               bytes=VALUE_BYTES, in_flight=in_flight)))
                    block.add("one_serving", f"puts/s at {in_flight} in flight", [puts])
        finally:
            pair.stop()

    run_blocks(results, "one serving", blocks, measure, raw.ping)
    for kind in ("gets/s", "puts/s"):
        for in_flight in IN_FLIGHT:
            results.report_blocks("throughput", f"{kind}, one serving at {in_flight} in flight, kadoro",
                                  ("one_serving", f"{kind} at {in_flight} in flight"), "1/s")


def per_core_second(cpu_s, work):
    before = cpu_s()
    said = work()
    if said.get("lost", 0) > said["answered"] / 100 or said.get("failures", 0) > said["answered"] / 100:
        raise RuntimeError(f"too much is lost: {said}")
    return said, said["answered"] / (cpu_s() - before)


def answers(machine, results, blocks, seconds):
    """Answers for each second that the server's core has worked: so no client, and a kadoro client takes more than a
    server, is the limit."""
    swarm = Kadoro(machine, io=machine.backend)
    server = swarm.nodes[3]
    asker = start(machine, "find_node_load", machine.asking_core, server=server.address, io=machine.backend)
    echo, raw = EchoServer(machine), Raw(machine, servers=1)
    try:
        asker.read()
        sizes = asker.ask("run", count=5000, askers=ASKERS)

        def measure(block):
            block.add("kadoro", "find_node_request_bytes", [sizes["request_bytes"]])
            block.add("kadoro", "find_node_answer_bytes", [sizes["answer_bytes"]])
            backends = backend_echoes(machine)  # fresh ones: how fast a process is, is also luck with its memory
            try:
                for each in backends.values():
                    raw.client.ask("rate", servers=each.at, count=WARM_ECHOES, request=100, answer=100, in_flight=64)
                for askers, of, share in ((ASKERS, "", 1), (1, " of one", 0.5)):
                    measure_askers(block, backends, askers, of, share)
                for name, other in block.in_turn(list(backends.items())):
                    block.add(name, "io_echo_ping", raw.client.ask("rounds", servers=other.at, count=200, request=100,
                                                                   answer=100)["us"])
            finally:
                for each in backends.values():
                    each.stop()
            # For each a server that answers one by one verifies or signs: what it takes is that.
            for name, work in (("sealed_verified_echo", "servers_verify"), ("sealed_signed_echo", "servers_sign")):
                ask = dict(servers=raw.at[0], count=int(1000 * seconds), request=AROUND, answer=AROUND, in_flight=64,
                           sealed=1, **{work: 1})
                got, per_core = per_core_second(lambda: raw.servers[0].ask("usage")["cpu_s"],
                                                lambda: raw.client.ask("rate", **ask))
                block.add("raw", f"{name}/core_s", [per_core])
                block.add("raw", f"{name}/s", [got["answered"] / got["seconds"]])

        def measure_askers(block, backends, askers, of, share):
            def add(who, what, cpu_s, ask):
                got, per_core = per_core_second(cpu_s, ask)
                block.add(who, f"{what}{of}/core_s", [per_core])
                block.add(who, f"{what}{of}/s", [got["answered"] / got["seconds"]])

            def find_node():
                add("kadoro", "find_node", lambda: server.ask("usage")["cpu_s"],
                    lambda: asker.ask("run", count=int(80000 * share * seconds), in_flight=64, askers=askers))

            def echoed(who, what, cpu_s, at, request, answer, sealed=0):
                add(who, what, cpu_s, lambda: raw.client.ask(
                    "rate", servers=at, request=request, answer=answer, sealed=sealed, in_flight=64, askers=askers,
                    count=int(200000 * share * seconds)))

            turns = [(find_node, ())]
            turns += [(echoed, ("raw", name, echo.cpu_s, echo.at, sizes["request_bytes"], sizes["answer_bytes"], sealed))
                      for name, sealed in (("echo", 0), ("sealed_echo", 1))]
            turns += [(echoed, (name, "io_echo", lambda of=other: of.ask("usage")["cpu_s"], other.at, 100, 100))
                      for name, other in backends.items()]
            for run, how in block.in_turn(turns):
                run(*how)

        run_blocks(results, "answers", blocks, measure, raw.ping)
    finally:
        for each in [swarm, asker, echo, raw]:
            each.stop()


def backend_echoes(machine):
    """The same echo on each backend there is, and by hand: by blocking calls, and on io_uring, which sends by sendmmsg or
    by submissions."""
    out = {}
    for name, program, settings in (("raw_blocking", "raw_limit", {"serve": "batch"}), ("asio", "io_echo", {"io": "asio"}),
                                    ("uring", "io_echo", {"io": "uring"}), ("raw_uring", "uring_echo", {}),
                                    ("raw_uring_submit", "uring_echo", {"send": "submit"})):
        if not machine.program(program):
            continue
        process = start(machine, program, machine.answering_core, **settings)
        try:
            process.at = process.read()["address"]
            out[name] = process
        except RuntimeError:
            process.process.wait()
    return out


def judge_gets(results):
    kadoro, median = ("kadoro", "gets/s"), statistics.median
    results.compare("gets_vs_opendht", kadoro, ("opendht", "gets/s"), median)
    results.compare("gets_vs_libtorrent", kadoro, ("libtorrent", "gets/s"), median)
    results.compare("gets_signed", ("kadoro", "gets_signed/s"), ("raw", "verifications/s"), median)
    by_hand = ("raw", "sealed exchanges with seven/s")  # the limit of a GET
    results.report_ratio("throughput", f"gets/s at {JUDGED} in flight, kadoro / sealed exchanges by hand with seven servers",
                         kadoro, by_hand)
    results.report_ratio("throughput", "sealed exchanges by hand with seven servers / gets/s of libtorrent", by_hand,
                         ("libtorrent", "gets/s"))


def judge_answers(results):
    median, echo = statistics.median, "io_echo/core_s"
    find_node = ("kadoro", "find_node/core_s")
    results.compare("find_node_vs_echo", find_node, ("raw", "echo/core_s"), median)
    results.compare("find_node_vs_sealed_echo", find_node, ("raw", "sealed_echo/core_s"), median)
    if results.has("uring", echo) and results.has("raw_uring", echo):
        results.compare("uring_vs_raw", ("uring", echo), ("raw_uring", echo), median)
        results.compare("asio_vs_uring", ("asio", echo), ("uring", echo), median)
    elif results.has("raw_blocking", echo):  # the others were measured
        results.skip("no io_uring backend in this build, or none that works here", "uring_vs_raw", "asio_vs_uring")
    for unit, how in (("core_s", "for each second of the server's core"), ("s", "by the clock")):
        for other in ("echo", "sealed_echo"):
            for of, by in (("", ""), (" of one", ", one asker")):
                results.report_ratio("throughput", f"FIND_NODE answers / {other}, {how}{by}",
                                     ("kadoro", f"find_node{of}/{unit}"), ("raw", f"{other}{of}/{unit}"))
    results.report_ratio("throughput", "UDP echo on io_uring / the same loop written by hand, one asker",
                         ("uring", "io_echo of one/core_s"), ("raw_uring", "io_echo of one/core_s"))
    results.report_ratio("throughput", "echo by hand on io_uring, submitted sends / sendmmsg, for each second of its core",
                         ("raw_uring_submit", echo), ("raw_uring", echo))
