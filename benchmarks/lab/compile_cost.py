"""How long a compiler takes, and how much memory, for a file that opens a node, puts and gets."""

import os
import subprocess

from .results import run_blocks

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def flags_of(machine):
    """As CMake found them."""
    said = subprocess.run(["pkg-config", "--cflags", "libsodium", "nettle"], capture_output=True, text=True)
    return ["-std=c++20", "-O2", "-DASIO_STANDALONE", "-I" + os.path.join(HERE, "..", "include")] + said.stdout.split()


def compile_once(machine, file, *more):
    """(seconds of the compiler, bytes that it took at most). Seconds of the processor: what else runs does not count."""
    command = machine.prefix(machine.answering_core) + [
        machine.compiler, *flags_of(machine), *more, "-c", os.path.join(HERE, "compile", file), "-o", os.devnull]
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


CASES = {
    "asio_echo": ("asio_echo.cpp",),
    "separate": ("put_and_get.cpp", "-DKADORO_SEPARATE_COMPILATION"),
    "header_only": ("put_and_get.cpp",),
}


def run(machine, results, blocks):
    memory = {}

    def measure(block):
        for name, case in CASES.items():
            seconds, memory[name] = compile_once(machine, *case)
            block.add("compiler", f"{name}_s", [seconds])

    # It is time of the processor that is measured: no block is thrown away for what others do.
    run_blocks(results, "compile cost", blocks, measure, lambda: [1.0])
    for name, size in memory.items():
        results.report("compile cost", f"memory of the compiler, {name}", size / 2**20, "MiB")
        results.report_blocks("compile cost", f"time, {name}", ("compiler", f"{name}_s"), "s")
    echo = ("compiler", "asio_echo_s")
    results.compare("compile_separate", ("compiler", "separate_s"), echo)
    results.compare("compile_header_only", ("compiler", "header_only_s"), echo)
