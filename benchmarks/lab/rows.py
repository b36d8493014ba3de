"""The rows of the result, their bars, and which way they go. Names and bars are those of the specification."""

AT_MOST, AT_LEAST = "≤", "≥"

# By chapter, name: (direction, bar, what is compared)
ROWS = {
    "latency": {
        "get_vs_pingpong": (AT_MOST, 1.25, "remote GET, content-addressed, p50 / sealed ping-pong"),
        "get_vs_libtorrent": (AT_MOST, 0.9, "the same / libtorrent, immutable item"),
        "get_vs_opendht": (AT_MOST, 0.8, "the same / OpenDHT, first value"),
        "get_signed": (AT_MOST, 1.2, "remote GET, signed, p50 / (sealed ping-pong + one verify)"),
        "get_signed_cached": (AT_MOST, 1.05, "the same record again / content-addressed GET"),
        "put_vs_fanout": (AT_MOST, 1.5, "PUT, content-addressed, quorum all of 7, p50 / sealed fan-out to 7"),
        "put_vs_libtorrent": (AT_MOST, 0.5, "the same / libtorrent, immutable item"),
        "put_vs_opendht": (AT_MOST, 0.3, "the same / OpenDHT, unsigned value"),
        "put_vs_rust": (AT_MOST, 0.05, "the same / rust-libp2p"),
        "put_signed": (AT_MOST, 1.3, "PUT, signed, quorum all of 7, p50 / (sealed fan-out to 7 + one sign)"),
    },
    "cold_start": {
        "cold_start": (AT_MOST, 0.1, "8 of 8 everywhere since the last start / OpenDHT"),
        "cold_start_vs_libtorrent": (AT_MOST, 0.8, "the same / libtorrent"),
        "cold_start_vs_rust": (AT_MOST, 0.3, "the same / rust-libp2p"),
    },
    "wan": {
        "wan_put_all": (AT_MOST, 1.06, "PUT, quorum all, p50, in RTT"),
        "wan_get": (AT_MOST, 1.06, "remote GET, p50, in RTT"),
        "wan_announced": (AT_MOST, 4.1, "the last node has announced since its start, in RTT; and below every rival"),
        "wan_complete": (AT_MOST, 3.0, "8 of 8 everywhere, in RTT; and below every rival"),
    },
    "trouble": {
        "stopped_put": (AT_MOST, 1.5, "PUT, majority, p99, one of 8 stopped / healthy; `all` fails by name, then degraded"),
        "stopped_get": (AT_MOST, 1.5, "remote GET, p99, one of 8 stopped / healthy"),
    },
    "throughput": {
        "gets_vs_opendht": (AT_LEAST, 8.0, "GETs a second, 32 in flight, content-addressed / OpenDHT"),
        "gets_vs_libtorrent": (AT_LEAST, 15.0, "the same / libtorrent"),
        "gets_signed": (AT_LEAST, 0.8, "GETs a second, 32 in flight, signed, each new / verifications a second"),
        "find_node_vs_echo": (AT_LEAST, 0.5, "FIND_NODE answers a second of the server's core / echo of equal payloads"),
        "find_node_vs_sealed_echo": (AT_LEAST, 0.7, "the same / the same echo with seal and open"),
        "uring_vs_raw": (AT_LEAST, 0.95, "UDP echo on io_uring / the same loop written by hand"),
        "asio_vs_uring": (AT_LEAST, 0.8, "UDP echo on Asio / on io_uring"),
    },
    "micro": {
        "alloc_answer": (AT_MOST, 0, "allocations for a request answered (PUT, GET, FIND_NODE)"),
        "alloc_get": (AT_MOST, 0, "allocations for a remote GET"),
        "alloc_put": (AT_MOST, 0, "allocations for a PUT, but for what is kept of a new value"),
        "closest_k": (AT_MOST, 0.1, "the 20 closest of 331 contacts / flat nth_element"),
    },
    "memory": {
        "rss_per_node": (AT_MOST, 0.15, "memory of a further node in one process / OpenDHT"),
    },
    "compile": {
        "compile_separate": (AT_MOST, 1.0, "time to compile a program that puts and gets, library compiled apart / Asio echo"),
        "compile_header_only": (AT_MOST, 2.5, "the same, header-only / Asio echo"),
    },
}
BARS = {name: bar for chapter in ROWS.values() for name, bar in chapter.items()}


def holds(name, value):
    direction, bar, _ = BARS[name]
    return value <= bar if direction == AT_MOST else value >= bar


def row(name, value, spread, also=True, blocks=None):
    """`also`: what must be true beside the bar."""
    return {"name": name, "ratio": round(value, 4), "spread": round(spread, 4), "bar": BARS[name][1],
            "met": bool(holds(name, value) and also), "blocks": blocks}


def missing(name, why, met):
    """Of what was not measured: `met` is None where a rival is absent, and False where it ought to have been."""
    return {"name": name, "ratio": None, "spread": None, "bar": BARS[name][1], "met": met, "blocks": None, "why": why}
