"""Programs that are driven by lines, and where on this machine they run."""

import copy
import json
import os
import subprocess
import sys
import threading


def note(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Machine:
    """Where things run: whoever measures has one core, those who answer have the other, the same for all contestants."""

    def __init__(self, build, backend="auto", realtime=0):
        self.build = build
        self.backend = backend
        self.realtime = realtime
        self.compiler = "g++"
        cores = sorted(os.sched_getaffinity(0))
        self.asking_core, self.answering_core = cores[0], cores[-1]
        self.cores = cores

    def unpinned(self):
        """The same, with both cores for everybody."""
        free = copy.copy(self)
        free.asking_core = free.answering_core = None
        return free

    def on_one_core(self):
        """The same, with all on the answering core."""
        crowded = copy.copy(self)
        crowded.asking_core = self.answering_core
        return crowded

    @property
    def io_flag(self):
        """For programs of the examples."""
        return ["--io", self.backend]

    def program(self, name):
        path = os.path.join(self.build, "benchmarks", f"bench_{name}")
        return path if os.access(path, os.X_OK) else None

    def prefix(self, core, inside=None):
        out = ["ip", "netns", "exec", inside] if inside else []
        if self.realtime:
            out += ["chrt", "-r", str(self.realtime)]
        if core is not None:
            out += ["taskset", "-c", str(core)]
        return out


class Program:
    """One process that answers each line with a line of JSON. Its first line says where it is."""

    def __init__(self, command, patience_s=600):
        self.command = command
        self.events = []
        self.patience_s = patience_s
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                                        close_fds=False)

    def read(self):
        """The next line that is no event."""
        while True:
            watchdog = threading.Timer(self.patience_s, self.process.kill)
            watchdog.start()
            try:
                line = self.process.stdout.readline()
            finally:  # or whoever is interrupted here would not end before it
                watchdog.cancel()
            if not line:
                raise RuntimeError(f"{' '.join(self.command)} ended with {self.process.wait()}")
            said = json.loads(line)
            if "event" not in said:
                return said
            self.events.append(said)

    def read_event(self):
        said = json.loads(self.process.stdout.readline() or "null")
        if said is None:
            raise RuntimeError(f"{' '.join(self.command)} ended with {self.process.wait()}")
        self.events.append(said)
        return said

    def say(self, word, **settings):
        self.process.stdin.write(" ".join([word] + [f"{k}={v}" for k, v in settings.items()]) + "\n")
        self.process.stdin.flush()

    def ask(self, word, **settings):
        self.say(word, **settings)
        answer = self.read()
        if "error" in answer:
            raise RuntimeError(f"{' '.join(self.command)}: {answer['error']}")
        return answer

    def send_signal(self, number):
        self.process.send_signal(number)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        if self.process.poll() is not None:
            return
        try:
            self.say("quit")
            self.process.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def start(machine, name, core, inside=None, **settings):
    return Program(machine.prefix(core, inside) + [machine.program(name)] + [f"{k}={v}" for k, v in settings.items()])
