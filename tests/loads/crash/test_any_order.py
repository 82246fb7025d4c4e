"""Loads in any order, repeated, dying before any of their steps: the target ends as if they had come in order.

In order means by generation, and of equal ones as they were committed. Each load is taken up again until it is done.
Snapshots expire what they lack: a load that is older than one already committed could add nothing that stays.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.optix.batch import NothingAccepted
from optimove_provider.loads.optix.bisect import RequestIsWrong
from tests.support.crash.dying import DyingTarget, fate
from tests.support.optix_transactions import night

KEYS = "abcd"
VALUES = st.sampled_from("012")
STEPS = 45
"""About as many as the longest load takes: one that is to die later lives."""


@dataclass(frozen=True)
class Event:
    """A load, and before which steps its first tries die."""

    rows: dict
    generation: int
    is_snapshot: bool
    is_full: bool
    dies_at: tuple
    is_abandoned: bool


def events(values, abandoned):
    rows = st.dictionaries(st.sampled_from(KEYS), values, max_size=len(KEYS))
    dies_at = st.lists(st.integers(1, STEPS), max_size=2).map(tuple)
    event = st.builds(Event, rows, st.integers(1, 5), st.booleans(), st.booleans(), dies_at, abandoned)
    return st.lists(event, min_size=1, max_size=5)


class Course:
    """One load on its way, which may die and goes on from what is written down."""

    def __init__(self, target, event, number):
        self.target, self.event, self.tries = target, event, 0
        self.load_id = f"6f0f5d3a-0000-4000-8000-00000001{number:04}"
        self.done = False

    def attempt(self):
        """One try. Returns whether the load was committed in it."""
        event, tries = self.event, self.tries
        dies_at = event.dies_at[tries] if tries < len(event.dies_at) else 0
        self.tries += 1
        before = self._is_last()
        how = {"source_is": "snapshot", "on_removed": "expire"} if event.is_snapshot else {"source_is": "delta"}
        how |= {"mode": "full" if event.is_full else "changed", "max_rejected": 99}
        try:
            report = self.target.attempt(event.rows, night(event.generation), self.load_id, dies_at, **how)
        except (NothingAccepted, RequestIsWrong):  # every row is refused: no try can mend that
            report, self.tries = None, self.tries + 100
        self.done = bool(report) or event.is_abandoned or self.tries > 100
        if report:
            assert (report.rows, report.unsent) == (len(event.rows), 0)
        self.target.check_ledger()
        return self._is_last() and not before

    def _is_last(self):
        committed = self.target.ledger.read().committed
        return committed is not None and committed.load_id == self.load_id


def run(target, some, random):
    """Run the loads; returns those that were committed, as they were."""
    waiting, committed = [Course(target, event, number) for number, event in enumerate(some)], []
    while waiting:
        course = random.choice(waiting)
        if course.attempt():
            committed.append(course.event)
        waiting = [other for other in waiting if not other.done]
    return committed


def in_order(committed):
    """The naive target."""
    store = {}
    for event in sorted(committed, key=lambda event: event.generation):  # a stable sort: equal ones as committed
        store = dict(event.rows) if event.is_snapshot else {**store, **event.rows}
    return store


def check_last(target, rows):
    """A newer snapshot brings the target to what it says, whatever was there.

    A record that nobody knows any more, as a refused one hides it, is loaded before it expires, as the error says.
    """
    report = target.attempt(rows, night(6), None, on_removed="expire", max_rejected=99)
    if report.not_expired:
        hidden = dict.fromkeys(target.values.keys() - rows.keys(), "0")
        assert target.attempt(hidden, night(6), None, source_is="delta")
        report = target.attempt(rows, night(7), None, on_removed="expire", max_rejected=99)
    assert (report.rows, report.unsent, target.values) == (len(rows), 0, rows)
    target.check_ledger()
    assert target.ledger.read().intents == {}


CALM = {"phases": [Phase.generate], "deadline": None}


@settings(max_examples=25, **CALM)
@given(
    events(VALUES, st.just(False)), st.dictionaries(st.sampled_from(KEYS), VALUES), st.randoms(use_true_random=False)
)
def test_any_course_ends_as_the_loads_in_order(some, last, random):
    with TemporaryDirectory() as folder, fate() as one:
        target = DyingTarget(Path(folder), one)
        committed = run(target, some, random)
        assert target.values == in_order(committed)
        assert target.ledger.read().intents == {}
        check_last(target, last)


@settings(max_examples=15, **CALM)
@given(
    events(VALUES | st.just("poison"), st.booleans()),
    st.dictionaries(st.sampled_from(KEYS), VALUES),
    st.randoms(use_true_random=False),
)
def test_rows_that_are_refused_and_loads_that_are_given_up_leave_nothing_that_a_snapshot_cannot_mend(
    some, last, random
):
    with TemporaryDirectory() as folder, fate() as one:
        target = DyingTarget(Path(folder), one)
        target.state.switches = Switches(poison="poison")
        run(target, some, random)
        check_last(target, last)
