"""Imports and profile writes of one DCP table in any order, of any columns, under two spellings of its host, dying
before any of their steps, with rows that are refused.

After every try: no value lies over one that is newer, wherever it came from; all that the ledger says it knows is true
of the table; what a report says is there is there, and every row is accounted for.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from optimove_provider.loads.dcp.columns import OtherColumns
from optimove_provider.loads.dcp.invalidation import OverwritesNewer
from optimove_provider.loads.ledger.manifest import CommitConflict
from tests.support.crash.dying import fate
from tests.support.crash.dying_table import DyingTable
from tests.support.dcp.profiles import SETTINGS
from tests.support.optix_transactions import night

KEYS, BOTH = "ab", ("ltv", "note")
UNFIT, REFUSED = "x", "7"
"""What is no number, and what the vendor refuses in a profile."""
SPELLINGS = [SETTINGS.host, "HTTP://E:80/experiment/v1"]
"""Of one host."""
KINDS = ["snapshot", "delta", "full", "profiles"]
STEPS = 40
"""About as many as the longest load takes: one that is to die later lives."""
NOT_SENT = (OtherColumns, OverwritesNewer, CommitConflict)
"""Where a load is refused by name, or finds that another one came in between. The next one makes it good."""


@dataclass(frozen=True)
class Event:
    """A load, and before which steps its first tries die."""

    kind: str
    rows: dict
    columns: tuple
    generation: int
    dies_at: tuple
    spelling: str


VALUES = st.sampled_from([*"0123456", UNFIT, REFUSED])
ROWS = st.one_of(st.fixed_dictionaries(dict.fromkeys(keys, VALUES)) for keys in ("a", "b", KEYS))
EVENT = st.builds(
    Event,
    st.sampled_from(KINDS),
    ROWS,
    st.sampled_from([BOTH[:1], BOTH[1:], BOTH]),
    st.integers(1, 5),
    st.lists(st.integers(1, STEPS), max_size=2).map(tuple),
    st.sampled_from(SPELLINGS),
)


class Course:
    """One load on its way, which may die, and goes on from what is written down until it is done."""

    def __init__(self, table, event):
        self.table, self.event, self.tries, self.done = table.another(), event, 0, False

    def attempt(self):
        """One try."""
        event, table = self.event, self.table
        table.spell(event.spelling)
        dies_at = event.dies_at[self.tries] if self.tries < len(event.dies_at) else 0
        self.tries += 1
        try:
            report = table.attempt(self._load, dies_at)
        except NOT_SENT:
            report, self.done = None, True
        if report:
            self._account(report)
        table.check()

    def _load(self):
        event, table = self.event, self.table
        if event.kind == "profiles":
            return table.write(event.rows, event.columns, night(event.generation))
        if event.kind == "full":
            return table.full(event.rows, event.columns, night(event.generation), self.tries)
        how = {"try_number": self.tries, "source_is": event.kind}
        return table.changed(event.rows, event.columns, night(event.generation), **how)

    def _account(self, report):
        event, self.done = self.event, True
        assert (report.rows, report.unsent) == (len(event.rows), 0)
        if event.kind in ("snapshot", "delta") and not report.stale:
            self.table.remember_rows(self._fit(), event.columns)

    def _fit(self):
        """The rows that are fit to be imported."""
        is_unfit = "ltv" in self.event.columns
        return {key: value for key, value in self.event.rows.items() if not (is_unfit and value == UNFIT)}


@settings(max_examples=25, phases=[Phase.generate], deadline=None)
@given(st.lists(EVENT, min_size=1, max_size=6), ROWS, st.randoms(use_true_random=False))
def test_nothing_older_lies_over_anything_newer_whatever_comes_and_dies(quick_disk, events, last, random):
    with TemporaryDirectory(dir=quick_disk) as folder, fate() as one:
        table = DyingTable(Path(folder), one, refused=REFUSED)
        waiting = [Course(table, event) for event in events]
        while waiting:
            random.choice(waiting).attempt()
            waiting = [other for other in waiting if not other.done]
        check_last(table, last)


def check_last(table, rows):
    """A newer snapshot brings its customers to what it says, whatever was there; the others are what they were."""
    before, course = table.values, Course(table, Event("snapshot", rows, BOTH, 6, (), SETTINGS.host))
    course.attempt()
    assert course.done
    said = {(key, name): value for key, value in course._fit().items() for name in BOTH}
    assert table.values == {**before, **said}
    assert table.ledger.read().intents == {}
