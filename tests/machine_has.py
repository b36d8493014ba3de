#!/usr/bin/env python3
"""Prints what this machine demonstrably has of what tests need and pass over elsewhere, for KADORO_TEST_REQUIRE.

Asks the system itself, and nothing of kadoro: a mistake there must not look like a machine that has less.
"""

import ctypes
import fcntl
import os
import struct
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)

# The numbers of io_uring's calls are those of (nearly) every architecture.
IO_URING_SETUP, IO_URING_ENTER, IO_URING_REGISTER = 425, 426, 427
SETUP_R_DISABLED = 1 << 6
FEATURES_OF_5_13 = 1 << 1 | 1 << 8 | 1 << 10  # NODROP, EXT_ARG, RSRC_TAGS
ENABLE_RINGS = 12
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def has_uring():
    """A ring can be made, begun and entered, and the headers to build with are there."""
    if subprocess.call(["pkg-config", "--exists", "liburing >= 2.3"], stderr=subprocess.DEVNULL) != 0:
        return False
    parameters = (ctypes.c_uint32 * 30)()
    parameters[2] = SETUP_R_DISABLED
    ring = libc.syscall(IO_URING_SETUP, 8, parameters)
    if ring < 0:
        return False
    begun = libc.syscall(IO_URING_REGISTER, ring, ENABLE_RINGS, None, 0) == 0
    entered = libc.syscall(IO_URING_ENTER, ring, 0, 0, 0, None, 0) == 0
    os.close(ring)
    return begun and entered and parameters[5] & FEATURES_OF_5_13 == FEATURES_OF_5_13


def has_netns():
    """A network of one's own can be made, and a TAP device in it. This process stays in it."""
    if libc.unshare(CLONE_NEWNET) != 0:
        return False
    try:
        with open("/dev/net/tun", "r+b", buffering=0) as device:
            fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"probe", IFF_TAP | IFF_NO_PI))
    except OSError:
        return False
    return True


def main():
    found = []
    for name, has in (("uring", has_uring), ("netns", has_netns)):
        try:
            if has():
                found.append(name)
        except OSError as why:  # no pkg-config, for example
            print(f"{name}: {why}", file=sys.stderr)
    print(",".join(found))


if __name__ == "__main__":
    main()
