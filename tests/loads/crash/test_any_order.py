"""Loads, updates and named keys that are made to expire, in any order, under two spellings of their target, dying
before any of their steps.

The target ends as if they had come in order. In order means by age: by generation, and of equal ones as they were read.
Each load is taken up again until it is done; an update that was overtaken before it was done is cleared, so that it
reads again. Snapshots expire what they lack: a load that is older than one already committed could add nothing that
stays. Keys that are suppressed are gone in the end, whatever came before or after.

Rows that the server refuses are owed, and one that is the newest word on its key is there in the end, too.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from optimove_provider.clients.http.patience import Retries
from optimove_provider.clients.optix import OptixClient
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.ledger.manifest import PartlyVisible
from optimove_provider.loads.optix.batch import NothingAccepted
from optimove_provider.loads.optix.bisect import RequestIsWrong
from optimove_provider.loads.state.journal import Journal
from tests.support.crash.dying import DyingTarget, fate
from tests.support.ledgers import ledger_rows
from tests.support.optix_target import SETTINGS
from tests.support.optix_transactions import night

KEYS = "abcd"
VALUES = st.sampled_from("012")
SPELLINGS = [SETTINGS.host, "HTTP://Emulator:80/api/data-connections/v1"]
"""Of one target."""
STEPS = 45
"""About as many as the longest load takes: one that is to die later lives."""


@dataclass(frozen=True)
class Event:
    """A load, and before which steps its first tries die. One that expires, or suppresses too, has keys only."""

    kind: str
    rows: dict
    generation: int
    is_full: bool
    dies_at: tuple
    is_abandoned: bool
    spelling: str


def events(values, abandoned):
    rows = st.dictionaries(st.sampled_from(KEYS), values, max_size=len(KEYS))
    dies_at = st.lists(st.integers(1, STEPS), max_size=2).map(tuple)
    kind, spelling = st.sampled_from(["snapshot", "delta", "update", "expire", "suppress"]), st.sampled_from(SPELLINGS)
    event = st.builds(Event, kind, rows, st.integers(1, 5), st.booleans(), dies_at, abandoned, spelling)
    return st.lists(event, min_size=1, max_size=5)


class UpdatedTarget(DyingTarget):
    """Counts the requests that update it."""

    updated, owing = 0, {}

    def spell(self, host):
        """From now on the target is called so."""
        settings = replace(SETTINGS, host=host)
        self.client = OptixClient(settings, send=self.send, retries=Retries(first_wait=0))

    def send(self, request):
        answer = super().send(request)
        self.updated += request.method == "PUT"
        return answer


class Course:
    """One load on its way, which may die and goes on from what is written down."""

    def __init__(self, target, event, number):
        self.target, self.event, self.tries = target, event, 0
        self.load_id = f"6f0f5d3a-0000-4000-8000-00000001{number:04}"
        self.done = False

    @property
    def age(self):
        """How old the rows are that were read last."""
        return Journal(self.target.staging, self.load_id).age

    def attempt(self):
        """One try. Returns whether the target got something by it."""
        self.target.spell(self.event.spelling)
        if self.event.kind == "update":
            return self._attempt_update()
        if self.event.kind in ("expire", "suppress"):
            return self._attempt_expiry()
        return self._attempt_load()

    def _attempt_expiry(self):
        event, target, before = self.event, self.target, self._is_last()
        how = {"suppress": event.kind == "suppress", "does": target.expire}
        report = target.attempt(event.rows, night(event.generation), self.load_id, self._next_death(), **how)
        self.done = bool(report) or event.is_abandoned
        if report:
            assert (report.rows, report.unsent, report.rejected) == (len(event.rows), 0, 0)
        target.check_ledger()
        return self._is_last() and not before

    def _attempt_update(self):
        event, target = self.event, self.target
        dies_at = self._next_death()
        updated, how = target.updated, {"max_rejected": 99, "does": target.update}
        report = None
        try:
            report = target.attempt(event.rows, night(event.generation), self.load_id, dies_at, **how)
        except RequestIsWrong:
            self.tries += 100
        except PartlyVisible:
            self.load_id = self.load_id.replace("4000", "5000", 1)
        self.done = bool(report) or event.is_abandoned or self.tries > 100
        if report:
            assert (report.rows, report.unsent) == (len(event.rows), 0)
        target.check_ledger()
        return target.updated > updated

    def _next_death(self):
        dies_at = self.event.dies_at[self.tries] if self.tries < len(self.event.dies_at) else 0
        self.tries += 1
        return dies_at

    def _attempt_load(self):
        event, dies_at, before = self.event, self._next_death(), self._is_last()
        how = {"source_is": event.kind} | ({"on_removed": "expire"} if event.kind == "snapshot" else {})
        how |= {"mode": "full" if event.is_full else "changed", "max_rejected": 99, **self.target.owing}
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
    """Run the loads; returns those that came through, each with its age then."""
    waiting, committed = [Course(target, event, number) for number, event in enumerate(some)], []
    while waiting:
        course = random.choice(waiting)
        if course.attempt():
            committed.append((course.age, course.event))
        waiting = [other for other in waiting if not other.done]
    return committed


def in_order(committed):
    """The naive target."""
    store = {}
    for _, event in sorted(committed, key=lambda one: one[0]):
        if event.kind == "expire":
            store = without(event.rows, store)
        elif event.kind != "suppress":
            store = dict(event.rows) if event.kind == "snapshot" else {**store, **event.rows}
    return without(suppressed(event for _, event in committed), store)


def suppressed(some):
    """The keys that are on the list, if all of these come through."""
    return {key for event in some if event.kind == "suppress" for key in event.rows}


def without(keys, store):
    return {key: value for key, value in store.items() if key not in keys}


def check_last(target, rows, kept_out):
    """A newer snapshot brings the target to what it says, whatever was there, but for keys that are kept out.

    A record that nobody knows any more, since a refused one or an update hides it, is loaded before it expires, as the
    report says.
    """
    report = target.attempt(rows, night(6), None, on_removed="expire", max_rejected=99)
    if report.not_expired or any("cannot be made to expire" in note for note in report.notes):
        hidden = dict.fromkeys(target.values.keys() - rows.keys(), "0")
        assert target.attempt(hidden, night(6), None, source_is="delta")
        report = target.attempt(rows, night(7), None, on_removed="expire", max_rejected=99)
    assert (report.rows, report.unsent) == (len(rows), 0)
    assert without(kept_out, target.values) == without(kept_out, rows)
    target.check_ledger()
    assert target.ledger.read().intents == {}


CALM = {"phases": [Phase.generate], "deadline": None}


@settings(max_examples=25, **CALM)
@given(
    events(VALUES, st.just(False)), st.dictionaries(st.sampled_from(KEYS), VALUES), st.randoms(use_true_random=False)
)
def test_any_course_ends_as_the_loads_in_order(quick_disk, some, last, random):
    with TemporaryDirectory(dir=quick_disk) as folder, fate() as one:
        target = UpdatedTarget(Path(folder), one)
        committed = run(target, some, random)
        expected = in_order(committed)
        left = target.values.keys() - expected.keys()
        assert {key: value for key, value in target.values.items() if key not in left} == expected
        known = ledger_rows(target.ledger)
        assert not left & suppressed(some)
        for row in (known[f'"{key}"'] for key in left):  # nobody knows what an update made of them, so they cannot go
            assert (row["state"], row["record"]) == ("removed", None)
        assert target.ledger.read().intents == {}
        check_last(target, last, suppressed(some))
        assert not target.values.keys() & suppressed(some)


@settings(max_examples=15, **CALM)
@given(
    events(VALUES | st.just("poison"), st.booleans()),
    st.dictionaries(st.sampled_from(KEYS), VALUES),
    st.randoms(use_true_random=False),
)
def test_rows_that_are_refused_and_loads_that_are_given_up_leave_nothing_that_a_snapshot_cannot_mend(
    quick_disk, some, last, random
):
    with TemporaryDirectory(dir=quick_disk) as folder, fate() as one:
        target = UpdatedTarget(Path(folder), one)
        target.state.switches = Switches(poison="poison")
        run(target, some, random)
        check_last(target, last, suppressed(some))


def owing_events():
    """Each load brings a row of its own and few refused ones, so that it can always be committed."""
    found = events(VALUES | st.just("poison"), st.just(False))
    return found.map(lambda some: [with_own_row(event, number) for number, event in enumerate(some)])


def with_own_row(event, number):
    refused = [key for key, value in event.rows.items() if value == "poison"]
    spared = refused if event.kind == "update" else refused[2:]
    return replace(event, rows={**event.rows, **dict.fromkeys(spared, "0"), f"own {number}": "0"})


@settings(max_examples=12, **CALM)
@given(owing_events(), st.randoms(use_true_random=False))
def test_what_is_owed_is_there_in_the_end_where_it_is_the_newest_word(quick_disk, some, random):
    with TemporaryDirectory(dir=quick_disk) as folder, fate() as one:
        target = UpdatedTarget(Path(folder), one)
        target.state.switches, target.owing = Switches(poison="poison"), {"resend_rejected": True, "owed_tries": 99}
        expected = {**in_order(run(target, some, random)), "last": "0"}
        assert "poison" not in target.values.values()
        target.state.switches = Switches()
        report = target.attempt({"last": "0"}, night(6), None, source_is="delta", max_rejected=9, **target.owing)
        assert (report.owed["left"], report.owed["rejected_again"]) == (0, 0)
        left = target.values.keys() - expected.keys()
        assert {key: value for key, value in target.values.items() if key not in left} == expected
        known = ledger_rows(target.ledger)
        assert all(known[f'"{key}"']["state"] == "removed" for key in left)
        target.check_ledger()
        assert target.ledger.read().intents == {}
