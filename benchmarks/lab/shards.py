"""A swarm of shards that starts: a rendezvous is there, eight nodes come, each announces its shard and seeks the others.
For kadoro that is the program of the example; for rivals their nodes do the same with what they have."""

import json
import os
import subprocess
import tempfile
import threading
import time

from .machine import note, start

SHARDS = 8
PATIENCE_S = 30
REPLICAS = 4  # an announcement counts when a majority of these holds it: three


class Times:
    """When things happened at each node, in ms: since its own `main` began, and on the clock that all share. What never
    happened has taken all the time that there was, at least."""

    def __init__(self, events, spawned_ms):
        self.announced = [self._since(e, "announced") for e in events]
        self.complete = [self._since(e, "complete") for e in events]
        self.missing = sum("complete" not in e for e in events)
        self.unannounced = sum("announced" not in e for e in events)
        last = [e.get("complete") for e in events]
        self.cold = PATIENCE_S * 1000 if self.missing else max(last) - max(spawned_ms)

    @staticmethod
    def _since(event, name):
        return event[name] - event["started"] if name in event else PATIENCE_S * 1000


def now_ms():
    return time.monotonic() * 1000


class KadoroShards:
    name = "kadoro"

    def __init__(self, machine):
        self.machine = machine
        self.program = os.path.join(machine.build, "examples", "shard_swarm", "shard_swarm")

    def run(self, hosts):
        """`hosts`: (network namespace, address) of the rendezvous and of the nodes."""
        with tempfile.TemporaryDirectory() as work:
            processes, spawned = [], []

            def launch(i, arguments):
                inside, listen = hosts[i]
                spawned.append(now_ms())
                processes.append(subprocess.Popen(
                    self.machine.prefix(None, inside) + [self.program] + arguments +
                    ["--listen", listen, "--events", os.path.join(work, f"{i}"), "--status-interval", "0",
                     "--replicas", str(REPLICAS)] +
                    self.machine.io_flag, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False))

            try:
                address = os.path.join(work, "address")
                launch(0, ["rendezvous", "--addr-file", address])
                while not os.path.exists(address) or not open(address).read().strip():
                    time.sleep(0.01)
                seed = open(address).read().split()[0]
                time.sleep(0.2)
                for i in range(1, SHARDS + 1):
                    launch(i, ["node", "--bootstrap", seed, "--shard-id", str(i - 1), "--total-shards", str(SHARDS)])
                give_up = time.monotonic() + PATIENCE_S
                while time.monotonic() < give_up:
                    time.sleep(0.1)
                    events = [self._events(os.path.join(work, str(i))) for i in range(1, SHARDS + 1)]
                    if all("complete" in e and "announced" in e for e in events):
                        break
                return Times(events, spawned[1:])
            finally:
                for each in processes:
                    each.kill()
                for each in processes:
                    each.wait()

    @staticmethod
    def _events(file):
        out = {}
        lines = open(file).read().splitlines() if os.path.exists(file) else []
        for line in lines:
            try:
                said = json.loads(line)
            except ValueError:  # half written
                continue
            out.setdefault("started", said["mono_ms"] - said["ms"])
            out.setdefault(said["event"], said["mono_ms"])
        # Its own `announced` may mean fewer copies, where it knew of few servers.
        out.pop("announced", None)
        if "replicated" in out:
            out["announced"] = out["replicated"]
        return out


class RivalShards:
    def __init__(self, machine, rival):
        self.machine = machine
        self.name = rival.name
        self.program = rival.program

    def run(self, hosts):
        processes, spawned = [], []
        watchdog = threading.Timer(PATIENCE_S, lambda: [p.process.kill() for p in processes])
        watchdog.start()
        try:
            inside, listen = hosts[0]
            rendezvous = start(self.machine, self.program, None, inside, listen=listen)
            processes.append(rendezvous)
            seed = rendezvous.read()["address"]
            time.sleep(0.2)
            for i in range(1, SHARDS + 1):
                inside, listen = hosts[i]
                spawned.append(now_ms())
                processes.append(start(self.machine, self.program, None, inside, listen=listen, bootstrap=seed,
                                       shard=i - 1, shards=SHARDS))
            return Times([self._events(p) for p in processes[1:]], spawned)
        finally:
            watchdog.cancel()
            for each in processes:
                each.process.kill()
            for each in processes:
                each.process.wait()

    @staticmethod
    def _events(node):
        out = {}
        while "complete" not in out or "announced" not in out:
            line = node.process.stdout.readline()
            if not line:
                return out if "started" in out else {"started": now_ms()}
            said = json.loads(line)
            if "event" in said:
                out.setdefault(said["event"], said["mono_ms"])
        return out


def contestants(machine, rivals):
    return [KadoroShards(machine)] + [RivalShards(machine, rival) for rival in rivals]


def run_once(contestant, hosts):
    times = contestant.run(hosts)
    for count, what in ((times.missing, "saw all shards"), (times.unannounced, "announced theirs")):
        if count:
            note(f"{contestant.name}: {count} of {SHARDS} nodes never {what} in {PATIENCE_S} s")
    return times
