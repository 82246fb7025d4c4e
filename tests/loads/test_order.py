"""Loads in any order, repeated, dying at any point: the target ends as if they had come in order, one by one.

In order means by generation, and of equal ones as they were committed. Each load is taken up again until it is done.
Snapshots expire what they lack: a load that is older than one already committed could add nothing that stays.
"""

from dataclasses import dataclass
from tempfile import TemporaryDirectory

from fsspec.implementations.local import LocalFileSystem
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from optimove_provider.loads.staging import Staging
from tests.loads.ledgers import Clock, Target, hour, rows_in

KEYS = "abcd"
ROWS = st.dictionaries(st.sampled_from(KEYS), st.integers(0, 2), max_size=len(KEYS))


@dataclass(frozen=True)
class Event:
    """A load, and before which step, 1 to 5, its first tries die."""

    rows: dict
    generation: int
    is_snapshot: bool
    is_full: bool
    dies_at: tuple


EVENTS = st.builds(
    Event, ROWS, st.integers(1, 5), st.booleans(), st.booleans(), st.lists(st.integers(1, 5), max_size=2).map(tuple)
)


class Course:
    """One load on its way, which may end at any step and goes on from what is written down."""

    def __init__(self, target, event):
        how = {"source_is": "snapshot", "on_removed": "expire"} if event.is_snapshot else {}
        self.target, self.event, self.tries = target, event, 0
        how["mode"] = "full" if event.is_full else "changed"
        self.frozen = target.frozen(event.rows, hour(event.generation), **how)
        self.plan, self.closed, self.committed, self.done = None, False, False, False

    def attempt(self):
        """One try. Returns whether the load was committed in it."""
        dies_at = self.event.dies_at[self.tries] if self.tries < len(self.event.dies_at) else None
        self.tries += 1
        self.target.clock.forward(61)
        lease = self.target.lease(self.frozen.load_id, self.tries)
        before = self.committed
        for number, step in enumerate((self._plan, self._mark, self._close, self._commit, self._expire), 1):
            if number == dies_at:
                return self.committed and not before
            step(lease)
        lease.release()
        self.done = True
        return self.committed and not before

    def _plan(self, lease):
        load_id = self.frozen.load_id
        if self.committed or (self.plan and self.target.pointer.agrees(load_id, self.plan.version)):
            return
        self.plan, self.closed = self.target.plan(self.frozen), False

    def _mark(self, lease):
        if not self.committed:
            self.target.mark(lease, self.plan)

    def _close(self, lease):
        if not (self.committed or self.closed):
            self._nothing_older_is_written()
            self.target.send(self.plan)
            self.closed = True

    def _nothing_older_is_written(self):
        for key in self.event.rows.keys() & self.target.written.keys():
            if self.target.written[key] > self.event.generation:
                assert key not in self.target.sent_by(self.plan)
        for key in self.target.sent_by(self.plan):
            self.target.written[key] = self.event.generation

    def _commit(self, lease):
        if not self.committed:
            self.target.commit(lease, self.plan)
            self.committed = True

    def _expire(self, lease):
        if self.plan.removed:
            self.target.expire(lease, self.plan)


class Watched(Target):
    """A target that remembers the newest generation that was sent, by key."""

    def __post_init__(self):
        super().__post_init__()
        self.written = {}

    def sent_by(self, plan):
        return rows_in(self.staging, plan.sent)


def in_order(committed):
    """The naive target."""
    store = {}
    for event in sorted(committed, key=lambda event: event.generation):  # a stable sort: equal ones as committed
        store = dict(event.rows) if event.is_snapshot else {**store, **event.rows}
    return store


@settings(max_examples=12, phases=[Phase.generate])
@given(st.lists(EVENTS, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_any_course_ends_as_the_loads_in_order(events, random):
    with TemporaryDirectory() as folder:
        target = Watched(Staging(LocalFileSystem(), folder), Clock())
        waiting, committed = [Course(target, event) for event in events], []
        while waiting:
            course = random.choice(waiting)
            if course.attempt():
                committed.append(course.event)
            waiting = [other for other in waiting if not other.done]
            if random.random() < 0.2:
                target.clock.forward(61)
                target.ledger.compact(target.lease("compacting"))
        assert target.store == in_order(committed)
        assert target.pointer.pending == {}
