"""Eight processes of one contestant, one node each, and a ninth that stores nothing and asks."""

import contextlib
import os
import time

from .machine import note, start

NODES = 8


class Swarm:
    """Everybody but who measures runs on the answering core: the putter is moved to the other one for its puts only,
    so that an asker's packets cross the same border whoever answers them."""

    name = None
    program = None
    kinds = ("content", "signed")
    asker_settings = {}
    putter_settings = {}
    unknown_allowed = 0
    failures_allowed = 0.0
    warm = 100  # operations before the clock; a loop that spins tries that again at every 64th wait
    fresh_for = None  # after so many operations it has become slow, and another swarm of it is started
    most = None  # operations that it is asked for at once: a slow contestant would take minutes for as many as others

    def __init__(self, machine, hosts=None, **settings):
        """`hosts`: (network namespace, address to listen on) of the nodes, and one more for the asker."""
        self.machine = machine
        self.settings = settings
        self.hosts = hosts or [(None, "127.0.0.1:0")] * (NODES + 1)
        self.start_anew()

    def start_anew(self):
        """With other nodes, which know nothing."""
        self.stop()
        try:
            for i in range(len(self.hosts) - 1):
                seed, more = (self.nodes[0].address, {}) if i else (None, self.putter_settings)
                self.nodes.append(self._start(i, self.machine.answering_core, seed, **more))
            self._introduce(self.nodes)
            self._wait(self.nodes, len(self.nodes) - 1)
        except BaseException:
            self.stop()
            raise

    def be_fresh(self):
        """For who grows slow with what it has done."""
        if self.fresh_for:
            self.start_anew()

    def _start(self, host, core, seed, **more):
        inside, listen = self.hosts[host]
        settings = dict(self.settings, listen=listen, **more)
        if seed:
            settings["bootstrap"] = seed
        node = start(self.machine, self.program, core, inside, **settings)
        hello = node.read()
        node.address, node.backend = hello["address"], hello["backend"]
        node.give_up_s = hello.get("give_up_s")  # of kadoro's: after so long a request without an answer fails
        return node

    def _introduce(self, nodes):
        """Once they run, before they are waited for."""

    def _wait(self, nodes, peers, patience_s=20):
        """Until everybody knows everybody; a contestant that never does is measured as it is then."""
        give_up = time.monotonic() + patience_s
        while time.monotonic() < give_up:
            known = [n.ask("state")["peers"] for n in nodes]
            if min(known) >= peers - self.unknown_allowed:
                return
            time.sleep(0.1)
        note(f"{self.name}: after {patience_s} s the nodes know {known} of {peers} others")

    @contextlib.contextmanager
    def asking(self, **more):
        """A node that joins now, so that it holds nothing of what was put before."""
        asker = self._start(len(self.hosts) - 1, self.machine.asking_core, self.nodes[0].address,
                            **dict(self.asker_settings, **more))
        try:
            self._introduce([asker])
            self._wait([asker], len(self.nodes))
            yield asker
        finally:
            asker.stop()

    @contextlib.contextmanager
    def putting(self):
        """The first node, on the core of those who measure."""
        self._move(self.nodes[0], self.machine.asking_core)
        try:
            yield self.nodes[0]
        finally:
            self._move(self.nodes[0], self.machine.answering_core)

    @staticmethod
    def _move(node, core):
        if core is None:
            return
        for thread in os.listdir(f"/proc/{node.pid}/task"):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), {core})

    def check_copies(self, said, wanted):
        receipt = said.get("receipt")
        if receipt and receipt["stored"] < wanted:  # OpenDHT counts some twice
            raise RuntimeError(f"{self.name}: the last put was stored on {receipt['stored']}, not {wanted}")

    @classmethod
    def at_most(cls, count):
        return min(count, cls.most or count)

    @property
    def backend(self):
        return self.nodes[0].backend

    nodes = ()

    def stop(self):
        for node in self.nodes:
            node.stop()
        self.nodes = []


class Kadoro(Swarm):
    """The asker has a core of its own, and looks for answers so long before it sleeps; the nodes, the putter among them,
    sleep at once."""

    name = "kadoro"
    program = "kadoro_node"
    asker_settings = {"mode": "client", "spin_us": 200}


class KadoroAwake(Kadoro):
    """Where one operation at a time is measured: the putter, too, which has the core while it puts."""

    putter_settings = {"spin_us": 200}


class KadoroOnAsio(KadoroAwake):
    """Beside the backend that `auto` takes."""

    name = "kadoro_asio"
    kinds = ("content",)


class KadoroWithoutSpinning(Kadoro):
    """As it comes: whoever waits for an answer sleeps."""

    name = "kadoro_without_spinning"
    kinds = ("content",)
    asker_settings = {"mode": "client"}


class KadoroAsleep(Kadoro):
    """Where all share a core."""

    asker_settings = {"mode": "client"}


class Introduced(Swarm):
    """Of a contestant whose nodes take minutes to find each other: they are told."""

    def _introduce(self, nodes):
        for node in nodes:
            node.ask("meet", nodes=",".join(n.address for n in self.nodes if n is not node))


class OpenDht(Introduced):
    """A node takes longer with every key that it has put or sought, and remembers those that are gone."""

    name = "opendht"
    program = "opendht_node"
    kinds = ("content",)
    failures_allowed = 0.1
    warm = 20
    fresh_for = 100


class OpenDhtSigned(OpenDht):
    """With a key of its own, which costs it time with every value, so it takes part for signed records only."""

    name = "opendht_signed"
    kinds = ("signed",)

    def __init__(self, machine, hosts=None, **settings):
        super().__init__(machine, hosts, identity="yes", **settings)


class Libtorrent(Introduced):
    name = "libtorrent"
    program = "libtorrent_node"
    asker_settings = {"mode": "client"}
    unknown_allowed = 1  # its tables leave one out at times; every put is stored on all seven all the same
    failures_allowed = 0.1


class Rust(Introduced):
    name = "rust"
    program = "rust_node"
    asker_settings = {"mode": "client"}  # else what is put while it is there would be stored on it, too
    kinds = ("content",)  # its records are neither signed nor named by their hash


class RustLatest(Rust):
    """Beside the version that the rows are about."""

    name = "rust_latest"
    program = "rust_latest_node"


class Js(Introduced):
    """An operation takes it tens of milliseconds."""

    name = "js"
    program = "js_node"
    asker_settings = {"mode": "client"}
    kinds = ("content",)
    failures_allowed = 0.1
    warm = 64
    most = 64


RIVALS = [Libtorrent, OpenDht, Rust, RustLatest, Js]
