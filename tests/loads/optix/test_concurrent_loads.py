"""Tries that end at an unlucky point, rows that are always refused, and loads that come in between."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from optimove_provider.emulator.model.faults import Fault
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.compaction import MAX_LAYERS
from optimove_provider.loads.ledger.lease import acquire
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import PartlyVisible
from optimove_provider.loads.optix.batch import NothingAccepted
from optimove_provider.loads.optix.update import Update, load_update
from optimove_provider.loads.report.max_rejected import TooManyRejected
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.staging import Staging
from optimove_provider.options import Guards
from tests.support.crash.dying import DyingTarget, fate
from tests.support.optix_target import Killed, opened
from tests.support.optix_transactions import counts, night, planned, rows

LOAD_ID = "6f0f5d3a-0000-4000-8000-00000000beef"
POISON = Switches(poison="poison")


@pytest.fixture
def target(tmp_path):
    with fate() as one:
        yield DyingTarget(tmp_path / "target", one)


def killed(monkeypatch, owner, name, do):
    """Do something in a process that dies right after a method of `owner` has done its work."""
    method = getattr(owner, name)

    def die(*arguments, **named):
        method(*arguments, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, die)
        with pytest.raises(Killed):
            do()


def update(target, values, load_id="6f0f5d3a-0000-4000-8000-00000000cafe"):
    report = Report(load_id, {})
    target.report = report
    load_update(target.client, lambda: opened(rows(values)), target.staging, report, Update(target.wanted()))
    return report


def update_until_second_request(target, values):
    """An update that dies before its second request, and whose lease has ended."""
    target.kill_at = 2
    with pytest.raises(Killed):
        update(target, values)
    target.kill_at = 0
    target.let_a_minute_pass()


def test_a_retry_that_reads_other_rows_commits_them_though_an_earlier_try_has_committed(target, monkeypatch):
    """The first had nothing to send, so nothing told its retry that the rows were read."""
    target.sync({"a": "1", "b": "1"}, night(0))
    how = {"on_removed": "expire"}
    killed(monkeypatch, Ledger, "commit", lambda: target.sync({"a": "1"}, night(1), LOAD_ID, **how))
    target.sync({"a": "2"}, night(1), LOAD_ID, **how)
    target.check_ledger()
    assert target.sync({"a": "1"}, night(2)).accepted == 1
    assert target.values == {"a": "1"}


def test_hundreds_of_updates_leave_a_ledger_that_can_be_read(target):
    target.sync({"a": "1", "b": "1"}, night(-9))
    for _ in range(MAX_LAYERS + 1):
        update(target, {"b": "2"}, load_id=target.state.ids.uuid())
    assert len(target.ledger.read().layers) <= MAX_LAYERS
    lease = acquire(target.ledger.manifest_file, "many", 1)
    target.ledger.invalidate(lease, [('"b"', None)], Age.of(datetime.now(UTC)))
    # Each invalidation reads all layers, so the others are this one again.
    lease.change(lambda manifest: replace(manifest, layers=(*manifest.layers, *manifest.layers[-1:] * 120)))
    lease.release()
    assert len(target.ledger.read().layers) > 120
    assert planned(target, {"a": "1", "b": "2"}, datetime.now(UTC)).plan["unknown"] == 1


class OnAnObjectStore(Staging):
    __slots__ = ()
    is_local = False


@pytest.mark.parametrize("last", [5000, 10_000])
def test_a_row_group_is_never_empty(target, last):
    """The refused row comes right after a full row group."""
    target.staging = OnAnObjectStore(target.staging.fs, target.staging.root)
    target.state.switches = POISON
    values = {f"{number:05}": "1" for number in range(last)} | {"z": "poison"}
    target.sync(values, night(0), max_rejected=5)
    report = target.sync(values, night(1), max_rejected=5)
    assert (report.unchanged, report.rejected) == (last, 1)
    batches = [
        row_files.pa.RecordBatch.from_pylist([{"a": 1}] * 5000),
        row_files.pa.RecordBatch.from_pylist([{"a": 1}])[:0],
    ]
    groups = row_files.RowGroups(batches[0].schema)
    full = [table.num_rows for batch in batches for table in groups.add(batch)]
    assert (full, list(groups.rest())) == ([5000], [])


def test_records_whose_keys_are_of_another_type_are_not_made_to_expire(target):
    """A vendor that takes 1 and "1" for one record would make the new ones go with the old ones."""
    target.state.switches = Switches(key_identity="text")
    target.sync({"1": "x", "2": "y"}, night(0))
    # As a ledger is that has both, from a version which let the type of keys change.
    target.ledger.manifest_file.change(lambda manifest: replace(manifest, key_type="integer"))
    report = target.sync({"1": "x", "2": "y"}, night(1), key_type="integer", on_removed="expire", guards=Guards())
    assert (report.accepted, report.expired, sorted(target.values)) == (2, 0, ["1", "2"])
    assert any("Was key_type changed?" in note for note in report.notes)


def test_an_update_that_was_overtaken_sends_nothing_more(target):
    values = {f"{number:05}": "old" for number in range(5001)}
    update_until_second_request(target, values)
    target.sync({key: "new" for key in values}, datetime.now(UTC))
    with pytest.raises(PartlyVisible, match="Clear the task to read the source again"):
        update(target, values)
    assert (target.report.accepted, target.report.unsent) == (5000, 1)
    assert set(target.values.values()) == {"new"}


def test_an_update_that_died_and_was_not_overtaken_goes_on(target):
    values = {f"{number:05}": "1" for number in range(5001)}
    update_until_second_request(target, values)
    assert update(target, values).accepted == 5001
    assert len(target.bodies) == 3


def test_after_its_expiry_was_entered_a_retry_only_tells_of_it(target, monkeypatch):
    target.sync({"a": "1", "b": "1", "c": "poison"}, night(0))
    target.state.switches = POISON
    how = {"on_removed": "expire", "max_rejected": 5}
    killed(monkeypatch, compaction, "maintain", lambda: target.sync({"a": "1"}, night(1), LOAD_ID, **how))
    target.state.switches = Switches()
    sent = len(target.bodies)
    report = target.sync({"a": "1"}, night(1), LOAD_ID, **how)
    assert (report.expired, report.not_expired, report.state, len(target.bodies)) == (1, 1, "committed", sent)
    target.check_ledger()


def test_what_a_failed_load_could_not_send_hides_nothing(target):
    target.sync({"a": "1", "b": "2"}, night(0))
    target.state.switches = POISON
    for number in range(1, 4):
        with pytest.raises(NothingAccepted):
            target.sync({"a": "1", "b": "poison", "new": "poison"}, night(number))
    assert not target.ledger.read().intents
    report = target.sync({"a": "1"}, night(4), on_removed="expire")
    assert (report.expired, report.not_expired, target.values) == (1, 0, {"a": "1"})


def test_the_retry_of_a_load_that_failed_goes_on_with_its_batch(target):
    target.state.faults.order(Fault("upload_data", skip=1, times=1, status=404, body="no more"))
    values = {f"{number:05}": "1" for number in range(10_001)}
    with pytest.raises(Exception, match="no more"):
        target.sync(values, night(0), LOAD_ID)
    assert not target.ledger.read().intents
    assert target.sync(values, night(0), LOAD_ID).accepted == 10_001
    assert (len(target.bodies), len({batch for _, _, batch in target.requests})) == (4, 1)


def test_rows_that_are_always_refused_in_the_same_words_make_no_quiet_night_red(target):
    target.state.switches = POISON
    values = {str(number): "1" for number in range(97)} | {letter: "poison" for letter in "xyz"}
    for number in range(3):
        report = target.sync(values, night(number), max_rejected=0.1)
        assert (report.state, report.rejected, report.unsent) == ("committed", 3, 0)


def test_expiry_of_three_records_that_are_refused_in_the_same_words_is_judged_as_rejected_rows_are(target):
    target.sync({"a": "1", **{letter: "poison" for letter in "xyz"}}, night(0))
    target.state.switches = POISON
    with pytest.raises(TooManyRejected, match="3 of 3 records that the source lacks may stay"):
        target.sync({"a": "1"}, night(1), on_removed="expire", max_rejected=0.9)
    assert target.sync({"a": "1"}, night(2), on_removed="expire", max_rejected=3).not_expired == 3


def test_a_plan_that_was_approved_survives_a_death_before_the_first_request(target, monkeypatch):
    target.sync({"a": "1"}, night(0))
    digest = planned(target, {"a": "2"}, night(1)).plan["digest"]
    how = {"expected_plan": digest}
    killed(monkeypatch, Ledger, "write_intent", lambda: target.sync({"a": "2"}, night(1), LOAD_ID, **how))
    assert target.sync({"a": "2"}, night(1), LOAD_ID, **how).accepted == 1


def test_rows_refused_in_a_second_batch_are_unknown_as_the_first_may_have_been_completed(target):
    """Its closing request was carried out, its answer was lost, and the server has changed its mind since."""
    target.sync({"a": "1", "b": "1", "c": "1"}, night(0))
    target.kill_at, target.killed_after = len(target.bodies) + 1, True
    with pytest.raises(Killed):
        target.sync({"a": "poison", "b": "3", "c": "3"}, night(1), LOAD_ID)
    target.kill_at = 0
    target.let_a_minute_pass()
    target.state.switches = POISON
    report = target.sync({}, night(1), LOAD_ID, max_rejected=1)
    assert (report.accepted, report.rejected, target.values["a"]) == (2, 1, "poison")
    target.state.switches = Switches()
    assert target.sync({"a": "1", "b": "3", "c": "3"}, night(2)).plan["unknown"] == 1
    assert target.values["a"] == "1"


@pytest.mark.parametrize("step", ["vacuum", "compact"])
def test_a_ledger_that_cannot_be_tidied_is_no_failure_of_the_load(target, monkeypatch, caplog, step):
    def fails(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(compaction, step, fails)
    assert counts(target.sync({"a": "1"}, night(0))) == (1, 0, 0, 0)
    assert "was not tidied" in caplog.text
