"""Memory of a further node in one process, of a session, of a stored record."""

import statistics

from .latency import VALUE_BYTES, checked
from .machine import start
from .swarm import Kadoro

CROWD = 32
SESSIONS = 500
RECORDS = 5000


def run(machine, results, rivals, blocks):
    for number in range(blocks):
        for name, program in [("kadoro", "kadoro_node")] + [(r.name, r.program) for r in rivals if r.name == "opendht"]:
            node = start(machine, program, machine.answering_core, listen="127.0.0.1:0",
                         **({"io": machine.backend} if name == "kadoro" else {}))
            try:
                node.read()
                said = node.ask("crowd", count=CROWD)
                results.add(name, "further_node_bytes", [(said["after"] - said["before"]) / CROWD])
                if said["joined"] < CROWD:
                    results.report("memory", f"{name}: only so many joined", said["joined"], "")
            finally:
                node.stop()
    results.compare("rss_per_node", ("kadoro", "further_node_bytes"), ("opendht", "further_node_bytes"),
                    statistics.median)
    # Not in one swarm: what sessions have given back would be there for records, which would seem to take less.
    with_fresh(Kadoro(machine, io=machine.backend), of_sessions, machine, results)
    with_fresh(Kadoro(machine, io=machine.backend), of_records, machine, results)
    for rival in rivals:
        if rival.name == "opendht":
            with_fresh(rival(machine), of_records, machine, results)


def with_fresh(swarm, measure, machine, results):
    try:
        measure(machine, results, swarm)
    finally:
        swarm.stop()


def grown(node, work):
    before = node.ask("usage")["rss_bytes"]
    work()
    return node.ask("usage")["rss_bytes"] - before


def of_sessions(machine, results, swarm):
    node = swarm.nodes[3]
    crowd = start(machine, "find_node_load", machine.asking_core, server=node.address, io=machine.backend)
    try:
        crowd.read()
        opened = []
        size = grown(node, lambda: opened.append(crowd.ask("sessions", count=SESSIONS)["open"]))
        results.report("memory", "one more session, kadoro", size / max(1, opened[0]), "bytes",
                       "once; OpenDHT has no sessions")
    finally:
        crowd.stop()


def of_records(_machine, results, swarm):
    def put():
        with swarm.putting() as putter:
            checked(swarm, "put", putter.ask("put", kind="content", tag="m", bytes=VALUE_BYTES, count=RECORDS,
                                             in_flight=8), swarm.failures_allowed)

    size = grown(swarm.nodes[3], put)
    results.report("memory", f"one more record of {VALUE_BYTES} bytes, {swarm.name}", size / RECORDS, "bytes")
