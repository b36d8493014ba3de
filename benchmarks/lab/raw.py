"""The raw limits: what plain system calls and the bare cryptography take."""

from .machine import start

# What kadoro's packets are around a value, about: a header and a tag of 16 bytes each, ids, keys, lifetimes.
AROUND = 96
AROUND_SIGNED = AROUND + 150  # publisher, sequence, signature


class Raw:
    """Servers on the answering core, a client on the other. `may_lose`: between them packets are lost on purpose."""

    def __init__(self, machine, servers=8, inside=None, listen=None, may_lose=False):
        self.may_lose = may_lose
        place = inside or [None] * (servers + 1)
        self.servers = [
            start(machine, "raw_limit", machine.answering_core, inside=place[i + 1], serve="blocking",
                  **({"listen": listen[i + 1]} if listen else {}))
            for i in range(servers)
        ]
        self.at = [s.read()["address"] for s in self.servers]
        self.client = start(machine, "raw_limit", machine.asking_core, inside=place[0],
                            **({"listen": listen[0]} if listen else {}))
        self.client.read()

    def rounds(self, servers, count, request, answer, **how):
        said = self.client.ask("rounds", servers=",".join(self.at[:servers]), count=count, request=request,
                               answer=answer, **how)
        if said["failures"] and not (self.may_lose and said["us"]):
            raise RuntimeError(f"{said['failures']} packets were lost between raw ends")
        return said["us"]

    def ping(self, count=200):
        return self.rounds(1, count, AROUND, AROUND)

    def crypto(self, what, count, size):
        return self.client.ask("crypto", what=what, count=count, bytes=size)["us"]

    def stop(self):
        for each in [self.client] + self.servers:
            each.stop()


class EchoServer:
    """Answers in batches, as fast as one core can."""

    def __init__(self, machine, kind="batch"):
        self.process = start(machine, "raw_limit", machine.answering_core, serve=kind)
        self.at = self.process.read()["address"]

    def cpu_s(self):
        return self.process.ask("usage")["cpu_s"]

    def stop(self):
        self.process.stop()
