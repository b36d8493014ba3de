#!/usr/bin/env python3
"""Runs the examples that need somebody else: a server and its client, and a node that is started several times.

  examples.py echo BACKEND SERVER CLIENT   both on BACKEND (`asio`, `uring`)
  examples.py persistent NODE

Exits with 77 where this machine does not have what it takes, unless KADORO_TEST_REQUIRE says that it has.
"""

import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE_S = 60


class Failure(Exception):
    pass


class Server:
    """A program that runs until it is told to end."""

    def __init__(self, *command):
        self.command = command

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.said = b""
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def line(self):
        """The next line that it prints; empty if it ends before."""
        end = time.monotonic() + PATIENCE_S
        with selectors.DefaultSelector() as output:
            output.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.said:
                if not output.select(end - time.monotonic()):
                    raise Failure(f"{self.command}: prints nothing")
                more = os.read(self.process.stdout.fileno(), 4096)
                if not more:
                    return ""
                self.said += more
        first, self.said = self.said.split(b"\n", 1)
        return first.decode()

    def listens_to(self, number):
        """Whether it catches or blocks this signal, which would kill it otherwise."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            masks = [int(line.split()[1], 16) for line in status if line.startswith(("SigCgt:", "SigBlk:"))]
        return any(mask >> (number - 1) & 1 for mask in masks)

    def end(self, how):
        """Its exit code, and what it still said."""
        end = time.monotonic() + PATIENCE_S
        while how != signal.SIGKILL and self.process.poll() is None and not self.listens_to(how):
            if time.monotonic() > end:
                raise Failure(f"{self.command}: does not listen to signals")
            time.sleep(0.002)
        self.process.send_signal(how)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, (self.said + out).decode(), err.decode()


def expect(condition, *what):
    if not condition:
        raise Failure(" ".join(str(each) for each in what))


def backend_is_missing(backend, server):
    """What to say where the machine has no io_uring; a failure if it should have."""
    _, _, why = server.end(signal.SIGTERM)
    expect(backend == "uring" and "asked for by KADORO_IO" in why, "the server does not start:", why)
    expect("uring" not in os.environ.get("KADORO_TEST_REQUIRE", "").split(","), "this machine has uring, but:", why)
    print("passed over, for want of uring:", why)
    return 77


def echo(backend, server_program, client_program):
    os.environ["KADORO_IO"] = backend
    with Server(server_program, "127.0.0.1:0") as server:
        first = server.line()
        if not first:
            return backend_is_missing(backend, server)
        expect(first.startswith("echo on 127.0.0.1:"), "unexpected:", first)
        address = first.removeprefix("echo on ")
        details = server.line()
        expect(details.startswith({"asio": "io: asio: asked for", "uring": "io: io_uring: "}[backend]), details)
        for text in ("hello", "x" * 1000):
            client = subprocess.run(
                [client_program, address, text], capture_output=True, text=True, timeout=PATIENCE_S, check=False
            )
            expect(client.returncode == 0, "the client:", client.returncode, client.stderr)
            wanted = f"{len(text)} bytes back from {address} in " if "udp" in client_program else text + "\n"
            expect(client.stdout.startswith(wanted), "the client says", client.stdout)
        code, said, err = server.end(signal.SIGTERM)
        expect(code == 0, "the server ends with", code, err)
        expect(said.startswith(f"signal {int(signal.SIGTERM)}: 2 "), "the server says", said)
    return 0


def persistent(program):
    with tempfile.TemporaryDirectory(prefix="kadoro_test.") as folder:
        ids = set()
        # Alone, nobody confirms that a number is on disk: what a kill interrupts may be lost, and nothing before it.
        for how, runs in ((signal.SIGTERM, (1,)), (signal.SIGKILL, (2,)), (signal.SIGTERM, (2, 3))):
            with Server(program, folder, "127.0.0.1:0") as node:
                address = node.line()
                if not address:
                    _, _, why = node.end(signal.SIGTERM)
                    expect("built without LMDB" in why, why)
                    print("passed over:", why)
                    return 77
                ids.add(address.rsplit("/", 1)[1])
                database = node.line()
                expect(database == "database: working", database)
                counted = node.line()
                expect(any(counted.startswith(f"run {run}: ") for run in runs), f"one of runs {runs}, but it says", counted)
                code, _, err = node.end(how)
                expect(code == (0 if how == signal.SIGTERM else -how), "the node ends with", code, err)
        expect(len(ids) == 1, "it is not the same peer:", ids)
    return 0


def main(arguments):
    try:
        return {"echo": echo, "persistent": persistent}[arguments[0]](*arguments[1:])
    except Failure as why:
        print("failed:", why)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
