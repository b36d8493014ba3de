#!/usr/bin/env python3
"""What the runner does with numbers, without running anything: the statistics, the rows, the files."""

import contextlib
import csv
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import publish  # noqa: E402
from lab import latency, report, results, rows, stats, swarm, throughput, trouble  # noqa: E402


class Statistics(unittest.TestCase):
    def test_percentiles_are_by_nearest_rank(self):
        values = list(range(1, 101))
        self.assertEqual([stats.p50(values), stats.p99(values)], [50, 99])
        self.assertEqual(stats.p99([7]), 7)

    def test_a_block_is_noisy_above_five_times_the_median(self):
        self.assertTrue(stats.quiet([10] * 98 + [50] * 2))
        self.assertFalse(stats.quiet([10] * 98 + [51] * 2))

    def test_a_ratio_is_one_of_medians_and_its_spread_one_of_blocks(self):
        subject, reference = stats.Figure([10, 20, 90]), stats.Figure([10, 10, 30])
        ratio, spread = stats.ratio(subject, reference)
        self.assertEqual(ratio, 2)
        self.assertEqual(spread, 0.5)  # of 1, 2 and 3: quartiles 1.5 and 2.5
        self.assertEqual(stats.spread([4]), 0)


class Rows(unittest.TestCase):
    def test_bars_go_both_ways(self):
        self.assertTrue(rows.row("get_vs_pingpong", 1.25, 0)["met"])
        self.assertFalse(rows.row("get_vs_pingpong", 1.26, 0)["met"])
        self.assertTrue(rows.row("gets_vs_opendht", 8, 0)["met"])
        self.assertFalse(rows.row("gets_vs_opendht", 7.9, 0)["met"])

    def test_what_else_must_be_true_counts(self):
        self.assertIs(rows.row("wan_complete", 2, 0, also=False)["met"], False)

    def test_without_a_rival_a_row_is_neither_met_nor_missed(self):
        run = results.Results()
        run.without("no rust here", "put_vs_rust")
        run.end_chapter("latency")
        said = {row["name"]: row for row in run.in_order()}
        self.assertEqual((said["put_vs_rust"]["met"], said["put_vs_rust"]["why"]), (None, "no rust here"))
        self.assertEqual((said["put_signed"]["met"], said["put_signed"]["why"]), (False, "no block of it counts"))

    def test_what_this_machine_cannot_do_is_not_met(self):
        run = results.Results()
        run.skip("network namespaces need root", *rows.ROWS["wan"])
        run.end_chapter("wan")
        said = {row["name"]: row for row in run.in_order()}
        self.assertEqual((said["wan_get"]["met"], said["wan_get"]["why"]), (False, "network namespaces need root"))

    def test_a_chapter_that_failed_keeps_what_it_had_judged(self):
        run = made_up()
        run.end_chapter("latency", "its chapter failed: too bad")
        said = {row["name"]: row for row in run.in_order()}
        self.assertTrue(said["get_vs_pingpong"]["met"])
        self.assertEqual(said["put_vs_fanout"]["why"], "its chapter failed: too bad")

    def test_every_chapter_has_rows(self):
        self.assertEqual(len(rows.BARS), 33)
        self.assertEqual(sum(len(some) for some in rows.ROWS.values()), 33)

    def test_all_rows_of_the_latencies_are_known(self):
        run = made_up()
        self.assertLessEqual(set(run.rows), set(rows.ROWS["latency"]))
        self.assertIn("get_vs_pingpong", run.rows)
        self.assertNotIn("get_vs_opendht", run.rows)  # OpenDHT did not take part


class Blocks(unittest.TestCase):
    def test_noisy_blocks_are_thrown_away(self):
        run = results.Results()
        pings = iter([[10, 10], [10, 10], [10, 99], [10, 10], [10, 10], [10, 10], [10, 10], [10, 10]])
        results.run_blocks(run, "a test", 3, lambda block: block.add("a", "b", [len(run.blocks)]), lambda: next(pings))
        self.assertEqual((len(run.blocks["a", "b"]), run.thrown_away), (3, 1))

    def test_a_machine_that_is_never_quiet_is_measured_and_told_so(self):
        run = results.Results()
        results.run_blocks(run, "a test", 2, lambda block: block.add("a", "b", [1]), lambda: [1, 99])
        self.assertEqual((len(run.blocks["a", "b"]), run.thrown_away, len(run.figures)), (6, 6, 1))


    def test_what_is_measured_in_parts_is_one_block_and_another_one_begins_in_each(self):
        run, order = results.Results(), []

        def measure(block):
            order.append(block.in_turn(["x", "y", "z"]))
            block.add("a", "b", [1, 2])
            block.add("a", "b", [3])

        results.run_blocks(run, "a test", 2, measure, lambda: [1])
        self.assertEqual(run.blocks["a", "b"], [[1, 2, 3], [1, 2, 3]])
        self.assertEqual(order, [["y", "z", "x"], ["z", "x", "y"]])


class Contestants(unittest.TestCase):
    def test_no_two_share_a_name_or_a_program(self):
        everybody = [swarm.Kadoro] + swarm.RIVALS
        self.assertEqual(len({one.name for one in everybody}), len(everybody))
        self.assertEqual(len({one.program for one in everybody}), len(everybody))

    def test_a_slow_one_is_asked_for_less(self):
        self.assertEqual([swarm.Rust.at_most(1000), swarm.Js.at_most(1000), swarm.Js.at_most(5)], [1000, 64, 5])

    def test_nobody_is_said_to_have_had_more_in_flight_than_it_was_asked_for(self):
        class Asker:
            def ask(self, _, count, in_flight, **__):
                return {"us": [1] * count, "seconds": count / in_flight, "failures": 0}

        class Slow(swarm.Js):
            def __init__(self):
                pass

            def asking(self):
                return contextlib.nullcontext(Asker())

        run = results.Results()
        throughput.gets_curve(run, Slow())
        self.assertEqual([(what, how) for _, what, _, _, how in run.figures],
                         [(f"gets/s at {n} in flight, js", "one sweep") for n in (1, 2, 4, 8, 16, 32, 64)])

    def test_rows_about_rust_are_about_the_older_one(self):
        run = results.Results()
        for who, us in (("kadoro", 10), ("rust", 100), ("rust_latest", 50)):
            run.add(who, "put_content", [us])
        latency.judge(run)
        self.assertEqual(run.rows["put_vs_rust"]["ratio"], 0.1)


class Figures(unittest.TestCase):
    def test_what_was_measured_in_blocks_says_so(self):
        run = results.Results()
        for block in (1, 2, 4):
            run.add("asio", "gets/s", [10 * block])
            run.add("uring", "gets/s", [10])
        run.report_blocks("a test", "gets/s, asio", ("asio", "gets/s"), "1/s")
        run.report_ratio("a test", "asio / uring", ("asio", "gets/s"), ("uring", "gets/s"))
        run.report_blocks("a test", "gets/s, nobody", ("nobody", "gets/s"), "1/s")
        self.assertEqual(run.figures, [("a test", "gets/s, asio", 20, "1/s", "± 7.5, 3 blocks"),
                                       ("a test", "asio / uring", 2, "", "± 0.75, 3 blocks")])

    def test_answers_are_compared_by_core_second_and_by_the_clock(self):
        run = results.Results()
        for who, operation, value in (("kadoro", "find_node", 2), ("raw", "echo", 8), ("raw", "sealed_echo", 4)):
            run.add(who, f"{operation}/core_s", [value])
            run.add(who, f"{operation}/s", [value if who == "raw" else 1])
        throughput.judge_answers(run)
        self.assertEqual(run.rows["find_node_vs_echo"]["ratio"], 0.25)
        self.assertEqual([(what, value) for _, what, value, *_ in run.figures],
                         [("FIND_NODE answers / echo, for each second of the server's core", 0.25),
                          ("FIND_NODE answers / sealed_echo, for each second of the server's core", 0.5),
                          ("FIND_NODE answers / echo, by the clock", 0.125),
                          ("FIND_NODE answers / sealed_echo, by the clock", 0.25)])

    def test_a_put_to_a_stopped_node_has_to_fail_by_name_and_in_time(self):
        class Victim:
            address = "/ip4/127.0.0.1/udp/1/kadoro/p2p/12D3"

        said = {"failures": 1, "why": "12D3: no answer", "seconds": 3.01}
        self.assertTrue(trouble.fails_in_time(Victim, said, 3))
        self.assertFalse(trouble.fails_in_time(Victim, dict(said, seconds=3.4), 3))
        self.assertFalse(trouble.fails_in_time(Victim, dict(said, why="no answer"), 3))
        self.assertFalse(trouble.fails_in_time(Victim, dict(said, failures=0), 3))


class Files(unittest.TestCase):
    def test_json_has_every_row_in_order(self):
        said = json.loads(json.dumps(report.as_json(made_up(), {"cpu": "x"})))
        self.assertEqual([row["name"] for row in said["rows"]], list(rows.BARS))
        for row in said["rows"]:
            self.assertEqual(list(row)[:5], ["name", "ratio", "spread", "bar", "met"])
            self.assertEqual("why" in row, row["ratio"] is None)
        self.assertEqual([row["name"] for row in said["rows"] if row["met"] is None], ["put_vs_rust"])

    def test_json_says_which_rows_nobody_asked_for(self):
        run = made_up()
        run.leave_out(chapter for chapter in rows.ROWS if chapter not in ("latency", "wan"))
        said = report.as_json(run, {"cpu": "x"})
        self.assertEqual([row["name"] for row in said["rows"]], [*rows.ROWS["latency"], *rows.ROWS["wan"]])
        left_out = [one["what"] for one in said["skipped"] if one["why"] == "its chapter was not asked for"]
        self.assertEqual(sorted(left_out + [row["name"] for row in said["rows"]]), sorted(rows.BARS))

    def test_all_files_are_written(self):
        with tempfile.TemporaryDirectory() as folder:
            text = report.write(made_up(), {"cpu": "x"}, folder)
            self.assertIn("| get_vs_pingpong |", text)
            self.assertIn("no rust here", text)
            with open(os.path.join(folder, "rows.csv"), newline="") as file:
                self.assertEqual(next(csv.DictReader(file))["name"], "get_vs_pingpong")
            self.assertTrue(os.path.exists(os.path.join(folder, "results.json")))


class Publication(unittest.TestCase):
    """Of a run with all rows, into a repository with nothing but the pages."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root, self.run_folder = os.path.join(folder.name, "root"), os.path.join(folder.name, "run")
        os.makedirs(os.path.join(self.root, "docs", "benchmarks"))
        for page in publish.PAGES:
            self.write(page, f"before\n\n{publish.BEGIN}an earlier run\n{publish.END}\nafter\n")
        self.write("docs/benchmarks/results-epyc.md", "another machine")
        self.write("docs/benchmarks/get.svg", "an earlier run")
        self.ran({})
        for name in publish.PICTURES:  # which need gnuplot
            with open(os.path.join(self.run_folder, name), "w", encoding="utf-8") as file:
                file.write("new")

    def ran(self, options, blocks=10, failed=None):
        run = made_up()
        for name, (_, bar, _) in rows.BARS.items():
            run.judge(name, bar, blocks=None if name.startswith("alloc") else blocks)
        if failed:
            run.report(failed, "FAILED", "why", "")
        report.write(run, {"date": "2026-01-01", "kadoro": "abc", **options}, self.run_folder)

    def path(self, name):
        return os.path.join(self.root, *name.split("/"))

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def test_all_pages_say_what_the_run_printed(self):
        publish.publish(self.run_folder, self.root)
        self.assertEqual(publish.check(self.root), [])
        printed = publish.read(os.path.join(self.run_folder, "results.md"))
        self.assertTrue(publish.read(self.path("docs/benchmarks/results.md")).endswith(printed))
        for page in publish.PAGES:
            text = publish.read(self.path(page))
            self.assertTrue(text.startswith("before\n") and text.endswith("\nafter\n"))
            self.assertIn("date: 2026-01-01, kadoro: abc.\n\n| row |", text)
            self.assertNotIn("an earlier run", text)
        for name in publish.PICTURES:
            self.assertEqual(publish.read(self.path(f"docs/benchmarks/{name}")), "new")
        self.assertEqual(publish.read(self.path("docs/benchmarks/results-epyc.md")), "another machine")

    def test_publishing_again_changes_nothing(self):
        publish.publish(self.run_folder, self.root)
        first = publish.read(self.path("README.md"))
        publish.publish(self.run_folder, self.root)
        self.assertEqual(publish.read(self.path("README.md")), first)

    def test_a_row_of_another_run_is_found(self):
        publish.publish(self.run_folder, self.root)
        text = publish.read(self.path("README.md"))
        for one, other in (("| get_signed | ", "| get_signed | other "), ("kadoro: abc", "kadoro: abd")):
            self.write("README.md", text.replace(one, other))
            self.assertEqual(len(publish.check(self.root)), 1)
        row = next(line for line in text.splitlines() if line.startswith("| compile_header_only"))
        self.write("README.md", text.replace(row + "\n", ""))
        self.assertEqual(len(publish.check(self.root)), 1)

    def test_a_run_that_lacks_something_is_not_published(self):
        report.write(made_up_of_latencies(), {"kadoro": "abc"}, self.run_folder)
        self.refused()
        self.setUp()
        os.remove(os.path.join(self.run_folder, "rows.svg"))
        self.refused()
        self.setUp()
        self.write("docs/benchmarks.md", "no comments here")
        self.refused()

    def test_a_run_that_was_made_otherwise_is_not_published(self):
        self.ran({"options": "--quick"})
        self.refused()
        self.ran({}, blocks=7)
        self.refused()
        self.ran({}, failed="wan")
        self.refused()

    def refused(self):
        with self.assertRaises(publish.Unfit):
            publish.publish(self.run_folder, self.root)
        self.assertIn("an earlier run", publish.read(self.path("README.md")))
        self.assertFalse(os.path.exists(self.path("docs/benchmarks/results.md")))


def made_up_of_latencies():
    run = made_up()
    run.leave_out(chapter for chapter in rows.ROWS if chapter != "latency")
    return run


def made_up():
    run = results.Results()
    for block in range(3):
        run.add("raw", "ping_sealed", [60 + block] * 5)
        run.add("kadoro", "get_content", [70 + block] * 5)
    run.without("no rust here", "put_vs_rust")
    latency.judge(run)
    return run


if __name__ == "__main__":
    unittest.main()
