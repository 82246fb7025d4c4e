"""Updates by key: each request counts at once, with the accounting of a load."""

import json
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest

from optimove_provider.contract.wire.errors import DataError, Unreachable
from optimove_provider.emulator import Fault
from optimove_provider.emulator.model.state import Switches
from optimove_provider.loads.ledger.ledger import NO_LEDGER, ledger_of
from optimove_provider.loads.optix.update import Update, load_update
from optimove_provider.loads.report.max_rejected import TooManyRejected
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state import compare_and_swap
from optimove_provider.records.read.sources import list_batches
from optimove_provider.surroundings import REAL
from tests.support.ledgers import ledger_rows, let_lease_end
from tests.support.optix_target import LOAD_ID, Target, numbered, opened
from tests.support.optix_transactions import TransactionTarget, night

ANOTHER_ID = "6f0f5d3a-0000-4000-8000-00000000a9a1"


class UpdatedTarget(Target):
    def update(self, rows, ttl_column=None, **settings):
        self.report = Report(LOAD_ID, {})
        update = Update(self.wanted(**settings), ttl_column)
        load_update(self.client, lambda: opened(rows), self.staging, self.report, update)
        return self.report

    @property
    def ledger(self):
        return ledger_of(self.staging, "optix", self.client.settings.host, self.data_connection_uuid)

    def load_again(self, rows, ttl_column):
        self.report, update = Report(ANOTHER_ID, {}), Update(self.wanted(), ttl_column)
        load_update(self.client, lambda: opened(list_batches(rows)), self.staging, self.report, update)

    @property
    def counts(self):
        report = self.report
        return report.state, report.rows, report.accepted, report.rejected, report.unsent

    @property
    def items(self):
        return [item for body in self.bodies for item in json.loads(body)]


@pytest.fixture
def target(tmp_path):
    return UpdatedTarget(tmp_path)


def rows(**columns):
    return [pa.RecordBatch.from_pydict(columns)]


def test_the_key_travels_apart_from_the_other_fields(target):
    target.update(rows(zip=["1", "2"], id=["a", 'b"'], age=[3, None]), ttl_seconds=60)
    assert target.items == [
        {"primary_key": "a", "data": {"age": 3, "zip": "1"}, "ttl": 60},
        {"primary_key": 'b"', "data": {"zip": "2"}, "ttl": 60},
    ]
    assert target.counts == ("committed", 2, 2, 0, 0)


def test_a_record_of_the_key_alone_is_an_item_without_fields(target):
    target.update(rows(id=[7]), key_type="integer")
    assert target.items == [{"primary_key": 7, "data": {}, "ttl": None}]


def test_a_ttl_of_its_own_wins_and_is_no_field(target):
    target.update(rows(id=["a", "b", "c"], life=["5", "", None]), ttl_column="life", ttl_seconds=60)
    assert [item["ttl"] for item in target.items] == [5, 60, 60]
    assert [item["data"] for item in target.items] == [{}, {}, {}]


@pytest.mark.parametrize("ttl", ["0", "-1", "1.5", "soon"])
def test_a_ttl_that_is_none_is_a_rejected_row(target, ttl):
    with pytest.raises(TooManyRejected, match=r"column 'life': expected whole seconds from 1 to"):
        target.update(rows(id=["a", "b"], life=["5", ttl]), ttl_column="life")
    assert (target.counts, target.items) == (("failed", 2, 0, 1, 1), [])


@pytest.mark.parametrize("column", ["id", "life"])
def test_a_missing_column_is_refused(target, column):
    with pytest.raises(DataError, match=f"column '{column}' is missing"):
        target.update(rows(**{"x": ["1"], **({"id": ["1"]} if column == "life" else {})}), ttl_column="life")


def test_rows_that_the_server_refuses_are_found_and_the_others_count(target):
    target.state.switches = Switches(poison="poison")
    with pytest.raises(TooManyRejected, match="Everything else was accepted"):
        target.update(numbered(6000, poison=[2, 5999]))
    assert target.counts == ("committed", 6000, 5998, 2, 0)
    assert [told["row"] for told in target.rejected] == [2, 5999]
    assert len(target.visible) == 5998


def test_what_was_accepted_before_an_error_counts_and_a_retry_sends_the_rest(target):
    target.state.faults.order(Fault("update_data", skip=1, times=1000, lost="before"))
    with pytest.raises(Unreachable):
        target.update(numbered(12_001))
    target.state.faults.answers.clear()
    assert target.counts == ("failed", 12_001, 5000, 0, 7001)
    target.update(iter(()))
    assert target.counts == ("committed", 12_001, 12_001, 0, 0)
    assert len(target.visible) == 12_001


def test_refused_rows_are_kept_as_rows_of_the_source(target):
    target.state.switches = Switches(poison="poison")
    source = [
        {"id": "a", "word": "well", "life": 60, "n": 1},
        {"id": 'b"', "word": "poison", "life": None, "n": 0.1},
        {"id": "c", "word": "poison", "life": 5, "n": None},
    ]
    target.update(list_batches(source), ttl_column="life", ttl_seconds=99, max_rejected=2)
    kept = [line["record"] for line in target.rejected]
    assert kept == [{"id": 'b"', "word": "poison", "n": 0.1, "life": 99}, {"id": "c", "word": "poison", "life": 5}]
    target.state.switches = Switches()
    target.bodies.clear()
    target.load_again(kept, ttl_column="life")
    assert [item["ttl"] for item in target.items] == [99, 5]
    assert set(target.visible) == {"a", 'b"', "c"}


@pytest.mark.parametrize("life", [60.0, " 60 ", "60", 60])
def test_whole_seconds_may_come_from_a_column_with_fractions(target, life):
    target.update(list_batches([{"id": "a", "life": life}]), ttl_column="life")
    assert [item["ttl"] for item in target.items] == [60]


@pytest.mark.parametrize("life", [60.5, 3 * 10**11, 10**30, True, "6e1", -60.0])
def test_a_time_to_live_beyond_the_calendar_is_rejected_with_its_row(target, life):
    rows = [{"id": "a", "life": life}, {"id": "b", "life": None}]
    target.update(list_batches(rows), ttl_column="life", max_rejected=1)
    assert target.counts == ("committed", 2, 1, 1, 0)


def test_the_key_is_no_time_to_live(target):
    with pytest.raises(DataError, match="column 'id' is to be the key and the time to live"):
        target.update(list_batches([{"id": "1"}]), ttl_column="id")


def test_an_update_of_keys_that_are_not_known_to_be_there_says_so(target):
    target.state.switches = Switches(absent_key="ignore")
    target.load(list_batches([{"id": "a", "n": 1}]), load_id=ANOTHER_ID)
    report = target.update(list_batches([{"id": "a", "n": 2}, {"id": "b", "n": 2}]))
    assert (report.accepted, set(target.visible)) == (2, {"a"})
    assert [note for note in report.notes if note.startswith("1 of the rows have keys that the ledger does not know")]
    why = "1 of the rows have keys that the ledger does not know to be there, and an update may leave those out"
    assert report.evidence == {"kind": "none", "why": why}
    assert f"2 accepted (counted by nobody: {why})" in report.sentence


def test_an_update_of_keys_that_are_there_says_nothing(target):
    target.load(list_batches([{"id": "a", "n": 1}]), load_id=ANOTHER_ID)
    report = target.update(list_batches([{"id": "a", "n": 2}]))
    assert (report.notes, report.evidence) == ([], {"kind": "counted"})


@pytest.fixture
def ignoring(tmp_path):
    """A target that leaves out updates of keys that are not there."""
    target = TransactionTarget(tmp_path)
    target.state.switches = Switches(absent_key="ignore")
    return target


def evidence_of(report):
    return report.evidence["kind"], [note[:29] for note in report.notes]


UNCOUNTED = ("none", ["1 of the rows have keys that "])


def test_an_update_makes_no_key_known_to_be_there(ignoring):
    for number in (1, 2, 3):
        assert evidence_of(ignoring.update({"a": str(number)}, night(number))) == UNCOUNTED
    assert ignoring.values == {}


def test_a_key_that_is_there_stays_so_however_often_it_is_updated(ignoring):
    ignoring.sync({"a": "1", "b": "1"}, night(1))
    ignoring.update({"b": "2"}, night(2))
    reports = [ignoring.update({"a": str(number)}, night(number)) for number in (2, 3, 4)]
    assert [evidence_of(report) for report in reports] == [("counted", [])] * 3
    assert ignoring.values == {"a": "4", "b": "2"}


def test_rows_that_a_load_may_have_sent_are_not_known_to_be_there(ignoring):
    ignoring.state.faults.order(Fault("upload_data", times=1000, lost="before"))
    with pytest.raises(Unreachable):
        ignoring.sync({"a": "1"}, night(1))
    ignoring.state.faults.answers.clear()
    assert ignoring.ledger.read().intents
    ignoring.let_a_minute_pass()
    for number in (2, 3):
        assert evidence_of(ignoring.update({"a": str(number)}, night(number))) == UNCOUNTED
    assert ignoring.values == {}


@pytest.mark.parametrize(("hours", "expected"), [(1, ("counted", [])), (3, UNCOUNTED)])
def test_a_key_is_known_to_be_there_until_its_time_to_live_is_over(ignoring, hours, expected):
    ignoring.sync({"a": "1"}, night(1))
    ignoring.update({"a": "2"}, night(2), ttl_seconds=2 * 3600)
    later = replace(REAL, now=lambda: REAL.now() + timedelta(hours=hours))
    ignoring.staging = replace(ignoring.staging, surroundings=later)
    assert evidence_of(ignoring.update({"a": "3"}, night(3))) == expected


def test_the_shortest_time_to_live_of_a_column_counts(target):
    target.load(list_batches([{"id": "a"}, {"id": "b"}]), load_id=ANOTHER_ID)
    target.update(list_batches([{"id": "a", "life": 60}, {"id": "b", "life": None}]), ttl_column="life")
    ends = {row["unproven_since"] for row in ledger_rows(target.ledger).values()}
    (end,) = ends
    assert timedelta(seconds=0) < end - REAL.now() <= timedelta(seconds=60)


def test_without_a_ledger_nobody_knows_which_keys_are_there(ignoring, monkeypatch):
    monkeypatch.setattr(compare_and_swap, "supports_compare_and_swap", lambda fs: False)
    report = ignoring.update({"a": "1"}, night(1))
    assert (report.accepted, report.evidence["kind"], ignoring.values) == (1, "none", {})
    assert report.notes[0] == NO_LEDGER


def test_a_retry_of_an_older_version_has_not_looked_which_keys_are_there(ignoring):
    ignoring.state.faults.order(Fault("update_data", times=1000, lost="before"))
    with pytest.raises(Unreachable):
        ignoring.update({"a": "1"}, night(1), load_id=LOAD_ID)
    ignoring.state.faults.answers.clear()
    path = f"loads/{LOAD_ID}/load.json"
    state = ignoring.staging.read(path)
    del state["plan"]["not_known"]
    ignoring.staging.write(path, state)
    let_lease_end(ignoring.ledger)
    assert evidence_of(ignoring.update({"a": "1"}, night(1), load_id=LOAD_ID)) == UNCOUNTED
