"""Everything that was measured in one run."""

import collections

from . import stats
from .machine import note
from .rows import BARS, ROWS, missing, row


class Results:
    def __init__(self):
        self.blocks = collections.defaultdict(list)  # (contestant, operation) -> one list of samples a block
        self.figures = []  # (chapter, what, value, unit, how it was measured): for CSV and tables, judged by nobody
        self.rows = {}
        self.left_out = set()  # rows of chapters that nobody asked for
        self.skipped = {}  # what was not measured, and why
        self.thrown_away = 0

    # Latencies and rates, block by block.
    def add(self, contestant, operation, samples):
        self.blocks[contestant, operation].append(samples)

    def has(self, contestant, operation):
        return bool(self.blocks.get((contestant, operation)))

    def figure(self, contestant, operation, summary=stats.p50):
        return stats.Figure(summary(block) for block in self.blocks[contestant, operation])

    def pooled(self, contestant, operation):
        return [one for block in self.blocks[contestant, operation] for one in block]

    # Rows.
    def compare(self, name, subject, reference, summary=stats.p50, also=True):
        """A row that is the ratio of two (contestant, operation)s. Where either is missing the end of the chapter says
        why."""
        if not self.has(*subject) or not self.has(*reference):
            return
        value, spread = stats.ratio(self.figure(*subject, summary), self.figure(*reference, summary))
        self.judge(name, value, spread, also, min(len(self.blocks[subject]), len(self.blocks[reference])))

    def judge(self, name, value, spread=0.0, also=True, blocks=None):
        """`blocks`: of how many; None for what is counted and the same each time."""
        self.rows[name] = row(name, value, spread, also, blocks)

    def skip(self, why, *names):
        """What cannot be done here. Rows among these are not met."""
        self._not_measured(why, names, False)

    def without(self, why, *names):
        """What is compared with a rival that is not here. Rows among these are neither met nor missed."""
        self._not_measured(why, names, None)

    def _not_measured(self, why, names, met):
        note(f"SKIPPED {', '.join(names)}: {why}")
        for name in names:
            self.skipped[name] = why
            if name in BARS:
                self.rows[name] = missing(name, why, met)

    def leave_out(self, chapters):
        for name in [name for chapter in chapters for name in ROWS[chapter]]:
            self.left_out.add(name)
            self.skipped[name] = "its chapter was not asked for"

    def end_chapter(self, chapter, why="no block of it counts"):
        """Rows that it owes are not met."""
        owed = [name for name in ROWS[chapter] if name not in self.rows]
        if owed:
            self.skip(why, *owed)

    def report(self, chapter, what, value, unit, how=""):
        self.figures.append((chapter, what, value, unit, how))

    def report_blocks(self, chapter, what, subject, unit):
        """The median over blocks of a (contestant, operation)."""
        if self.has(*subject):
            each = self.figure(*subject)
            self.report(chapter, what, each.median, unit, in_blocks(stats.spread(each.per_block), len(each.per_block)))

    def report_ratio(self, chapter, what, subject, reference):
        if self.has(*subject) and self.has(*reference):
            value, spread = stats.ratio(self.figure(*subject), self.figure(*reference))
            blocks = min(len(self.blocks[subject]), len(self.blocks[reference]))
            self.report(chapter, what, value, "", in_blocks(spread, blocks))

    def in_order(self):
        """All rows but those left out, in a run that is not over or was stopped, too."""
        return [self.rows.get(name) or missing(name, "its chapter has not run", False)
                for name in BARS if name not in self.left_out]


def in_blocks(spread, count):
    return f"± {stats.number(spread)}, {count} block" + "s" * (count > 1)


class Block:
    """What one block measured; counts only if the machine was quiet. `number`: of those that were tried, from 1 on. What is
    measured in parts has the samples of all of them."""

    def __init__(self, number):
        self.number = number
        self.samples = collections.defaultdict(list)

    def add(self, contestant, operation, samples):
        self.samples[contestant, operation] += samples

    def in_turn(self, contestants):
        """Another one begins in each block."""
        begin = self.number % len(contestants)
        return contestants[begin:] + contestants[:begin]


def run_blocks(results, chapter, count, measure, ping_us):
    """Runs `measure(block)` until `count` blocks were quiet, or three times as many were tried; a machine that is never
    quiet gets what there is, and is told so. Blocks in which somebody failed never count. `ping_us()` gives raw ping-pongs
    of this moment."""
    kept, noisy, failed = [], [], []
    for number in range(1, 3 * count + 1):
        block = Block(number)
        try:
            before = ping_us()
            measure(block)
            quiet = stats.quiet(before + ping_us())
        except RuntimeError as why:  # of one contestant: what the others did in this block does not count either
            note(f"{chapter}: a block thrown away: {why}")
            failed.append(str(why))
            continue
        (kept if quiet else noisy).append(block)
        note(f"{chapter}: block {len(kept)} of {count}" + ("" if quiet else " thrown away: the machine is noisy"))
        if len(kept) == count:
            break
    results.thrown_away += len(noisy) + len(failed)
    for why in sorted(set(failed)):
        results.report(chapter, f"blocks thrown away: {why}", failed.count(why), "")
    if len(kept) < min(3, count):
        note(f"{chapter}: the machine is never quiet; noisy blocks count, too")
        results.report(chapter, "noisy blocks counted", len(noisy), "")
        kept += noisy
    elif noisy:
        results.report(chapter, "blocks thrown away: noise", len(noisy), "")
    for block in kept:
        for (contestant, operation), samples in block.samples.items():
            results.add(contestant, operation, samples)
