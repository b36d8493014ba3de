"""Hosts at a distance: one network namespace each, joined by bench_delay_router."""

import os
import subprocess

from .machine import start

HOSTS = 9


def possible(machine):
    """Why not, or nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    if subprocess.run(["ip", "netns", "list"], capture_output=True).returncode:
        return "`ip netns` does not work here"
    return None


class Distance:
    def __init__(self, machine, **conditions):
        self.names = [f"kbench{i}" for i in range(HOSTS)]
        self.router = start(machine, "delay_router", None, hosts=HOSTS, **conditions)
        try:
            for i, device in enumerate(self.router.read()["devices"]):
                self._make(self.names[i], device, f"10.99.0.{i + 1}/24")
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _make(name, device, address):
        subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
        for line in (f"ip netns add {name}", f"ip link set {device} netns {name}",
                     f"ip -n {name} addr add {address} dev {device}",
                     f"ip -n {name} link set {device} txqueuelen 10000 up", f"ip -n {name} link set lo up"):
            subprocess.run(line.split(), check=True)

    def hosts(self, port=0):
        return [(name, f"10.99.0.{i + 1}:{port}") for i, name in enumerate(self.names)]

    def change(self, **conditions):
        return self.router.ask("set", **conditions)

    def close(self):
        self.router.stop()
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
