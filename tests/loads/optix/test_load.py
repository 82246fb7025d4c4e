"""A full load into Opti-X: one batch, completed once and last; every row accounted for; a crash costs a retry."""

import json
import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from optimove_provider.contract.wire.errors import (
    AuthenticationError,
    DataError,
    Refused,
    ServerTrouble,
    SettingsError,
    Unreachable,
)
from optimove_provider.emulator import Fault
from optimove_provider.emulator.model.state import Switches
from optimove_provider.loads.optix.batch import NothingAccepted
from optimove_provider.loads.optix.bisect import BisectTooLong, RequestIsWrong
from optimove_provider.loads.optix.options import OptixTarget
from optimove_provider.loads.optix.rejected_rows import SliceOutcomes
from optimove_provider.loads.report.max_rejected import TooManyRejected
from optimove_provider.loads.state.journal import SliceOutcome, TooManyBatches
from optimove_provider.records.rows import Unread
from optimove_provider.surroundings import REAL
from tests.support.optix_target import LOAD_ID, Killed, Target, numbered, record


@pytest.fixture
def target(tmp_path):
    return Target(tmp_path)


def counts(report):
    return report.state, report.rows, report.accepted, report.rejected, report.unsent


# What travels


def test_12001_rows_are_three_requests_of_one_batch_and_only_the_last_completes_it(target):
    report = target.load(numbered(12_001))
    (batch_uuid,) = {batch for _, _, batch in target.requests}
    assert [(rows, completed) for rows, completed, _ in target.requests] == [(5000, False), (5000, False), (2001, True)]
    assert counts(report) == ("committed", 12_001, 12_001, 0, 0)
    assert target.visible == {str(row): record(row) for row in range(1, 12_002)}
    assert target.completed == {batch_uuid}


@pytest.mark.parametrize("rows", [1, 4999, 5000, 5001, 10_000, 10_001])
@pytest.mark.parametrize("max_in_flight", [1, 4])
def test_slices_are_full_but_for_the_last_which_goes_alone(target, rows, max_in_flight):
    target.load(numbered(rows), max_in_flight=max_in_flight)
    sizes = [count for count, _, _ in target.requests]
    assert sizes[:-1] == [5000] * (len(sizes) - 1)
    assert sum(sizes) == len(target.visible) == rows
    assert [completed for _, completed, _ in target.requests] == [False] * (len(sizes) - 1) + [True]


@pytest.mark.parametrize("rows", [[], [next(numbered(1)).slice(0, 0)]], ids=["none", "empty"])
def test_no_rows_are_no_request_and_are_said_so(target, rows):
    report = target.load(rows)
    assert (report.state, report.rows, target.requests) == ("nothing_to_send", 0, [])


@pytest.mark.parametrize(("key_type", "keys"), [("string", ["1", "2"]), ("integer", [1, 2])])
def test_keys_travel_as_one_type_and_every_slice_with_the_ttl(target, key_type, keys):
    target.load(numbered(2), key_type=key_type, ttl_seconds=3600)
    body = json.loads(target.bodies[-1])
    assert [one["id"] for one in body["data"]] == keys
    assert body["ttl_seconds"] == 3600


def test_the_report_tells_how_a_campaign_reads_each_column(target):
    report = target.load(numbered(1))
    assert report.formulas["word"] == f"DC_{target.data_connection_uuid}:[%CUSTOMER_ID%]::word:0"


def test_what_a_load_froze_goes_when_it_is_committed(target):
    target.load(numbered(1))
    assert target.staging.names(f"loads/{LOAD_ID}") == ["load.json"]


# Rows that cannot travel


def test_a_row_that_cannot_travel_stops_the_load_before_the_first_request(target):
    with pytest.raises(TooManyRejected, match=r"1 of 6000 rows were rejected.*column 'n'.*Nothing was sent"):
        target.load(numbered(6000, bad=[5001]))
    assert counts(target.report) == ("failed", 6000, 0, 1, 5999)
    assert target.requests == []
    (told,) = target.rejected
    assert (told["row"], told["record"]["id"], told["status"]) == (5001, 5001, None)


@pytest.mark.parametrize("max_rejected", [2, 0.001])
def test_as_many_as_allowed_are_kept_aside_and_the_others_go(target, max_rejected):
    report = target.load(numbered(6000, bad=[1, 5001]), max_rejected=max_rejected)
    assert counts(report) == ("committed", 6000, 5998, 2, 0)
    assert set(target.visible) == {str(row) for row in range(1, 6001)} - {"1", "5001"}
    assert [told["row"] for told in target.rejected] == [1, 5001]


def test_a_row_that_could_not_be_read_is_rejected_with_its_text(target):
    batch = next(numbered(2))
    report = target.load([batch.slice(0, 1), Unread("2,too,many,cells", "4 cells"), batch.slice(1)], max_rejected=1)
    assert counts(report) == ("committed", 3, 2, 1, 0)
    assert target.rejected == [{"row": 2, "reason": "4 cells", "status": None, "text": "2,too,many,cells"}]


def test_a_key_twice_is_refused_with_both_rows(target):
    with pytest.raises(DataError, match=r"key column 'id' holds keys twice.*\"7\" in rows 7 and 12002"):
        target.load([*numbered(12_001), next(numbered(7)).slice(6)])
    assert target.requests == []


def test_a_source_that_breaks_half_way_means_no_request_at_all_and_a_retry_reads_it_again(target):
    def breaking():
        yield from numbered(6000)
        raise OSError("the warehouse has gone")

    with pytest.raises(OSError, match="the warehouse has gone"):
        target.load(breaking())
    assert target.requests == []
    assert counts(target.load(numbered(3))) == ("committed", 3, 3, 0, 0)


# Rows that the server refuses


def poisonous(target, **switches):
    target.state.switches = Switches(poison="poison", **switches)


@pytest.mark.parametrize("poison_named", ["index", "none"])
@pytest.mark.parametrize("poison", [[1], [6000], [12_001], [3, 5000, 5001, 12_000, 12_001], [*range(11_701, 12_001)]])
def test_good_rows_land_and_bad_ones_are_kept_with_the_servers_words(target, poison, poison_named):
    poisonous(target, poison_named=poison_named)
    report = target.load(numbered(12_001, poison=poison), max_rejected=0.5)
    assert counts(report) == ("committed", 12_001, 12_001 - len(poison), len(poison), 0)
    assert set(target.visible) == {str(row) for row in range(1, 12_002)} - {str(row) for row in poison}
    assert [told["row"] for told in target.rejected] == sorted(poison)
    assert all(told["status"] == 400 and told["record"]["word"] == "poison" for told in target.rejected)
    assert len(target.completed) == 1
    assert [completed for _, completed, _ in target.requests].count(True) <= 2


def test_refused_rows_beyond_max_rejected_fail_the_load_after_the_good_ones_were_committed(target):
    poisonous(target)
    with pytest.raises(TooManyRejected, match=r"1 of 6000 rows.*Everything else was committed.*replay that file"):
        target.load(numbered(6000, poison=[17]))
    assert counts(target.report) == ("committed", 6000, 5999, 1, 0)
    assert len(target.visible) == 5999


def test_a_replay_of_the_finished_load_sends_nothing_and_fails_alike(target):
    poisonous(target)
    for _ in range(2):
        with pytest.raises(TooManyRejected):
            target.load(numbered(6000, poison=[17]))
    assert len({batch for _, _, batch in target.requests}) == 1


def test_all_rows_refused_leave_the_batch_open(target):
    poisonous(target)
    with pytest.raises(DataError, match="refused every row"):
        target.load(numbered(2, poison=[1, 2]), max_rejected=2)
    assert counts(target.report) == ("failed", 2, 0, 2, 0)
    assert [row["row"] for row in target.rejected] == [1, 2]
    assert target.completed == set()


def test_a_request_that_is_wrong_is_no_bad_row(target):
    target.state.faults.order(Fault("upload_data", times=99, status=422, body="no such field: id"))
    with pytest.raises(RequestIsWrong, match="no such field: id"):
        target.load(numbered(12_001))
    assert counts(target.report) == ("failed", 12_001, 0, 0, 12_001)
    assert len(target.requests) == 4


def test_the_search_for_bad_rows_is_bounded_and_its_cost_said_before(target, caplog):
    poisonous(target, poison_named="none")
    with pytest.raises(BisectTooLong, match="max_bisect_requests"):
        target.load(numbered(5000, poison=range(1, 5001, 7)), max_bisect_requests=50)
    assert len(target.requests) == 51
    assert "requests_per_10s, for each of them" in caplog.text


@pytest.mark.parametrize("body_bytes", [20_000, 100_000])
def test_too_large_a_body_is_halved(target, body_bytes):
    target.state.switches = Switches(max_body_bytes=body_bytes)
    report = target.load(numbered(12_001))
    assert counts(report) == ("committed", 12_001, 12_001, 0, 0)
    assert len(target.visible) == 12_001


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (403, AuthenticationError), (404, Refused)])
def test_another_refusal_stops_the_load(target, status, error):
    target.state.faults.order(Fault("upload_data", skip=1, status=status, body="no"))
    with pytest.raises(error, match=r"5000 of 12001 rows had been answered with success.*they count as unsent"):
        target.load(numbered(12_001))
    assert counts(target.report) == ("failed", 12_001, 0, 0, 12_001)
    assert target.visible == {}


# Trouble on the way


@pytest.mark.parametrize("fault", [{"status": 429}, {"status": 503}, {"lost": "before"}, {"lost": "after"}])
@pytest.mark.parametrize("skip", [0, 1, 2])
def test_trouble_that_passes_costs_a_retry_and_nothing_else(target, fault, skip):
    target.state.faults.order(Fault("upload_data", skip=skip, times=2, **fault))
    report = target.load(numbered(10_001))
    assert counts(report) == ("committed", 10_001, 10_001, 0, 0)
    assert (len(target.visible), len(target.requests)) == (10_001, 5)
    assert len({batch for _, _, batch in target.requests}) == 1


def test_a_server_that_refuses_a_completed_batch_gets_the_rows_once_more_under_another(target):
    target.state.switches = Switches(completed_batch="refuse")
    target.state.faults.order(Fault("upload_data", skip=1, lost="after"))
    report = target.load(numbered(5001))
    assert counts(report) == ("committed", 5001, 5001, 0, 0)
    assert len(target.completed) == 2
    assert len(target.visible) == 5001


def test_a_load_gives_up_after_five_batches(target):
    for _ in range(6):
        target.state.faults.order(Fault("upload_data", lost="after"), Fault("upload_data", status=400))
    with pytest.raises(TooManyBatches, match="Clear the task"):
        target.load(numbered(3))


def test_a_load_outlasts_an_outage_between_two_slices(target):
    target.state.faults.order(Fault("upload_data", skip=1, times=20, status=503, body="rolling update"))
    assert counts(target.load(numbered(12_001))) == ("committed", 12_001, 12_001, 0, 0)
    assert target.time.seconds > 300


def test_a_load_gives_up_when_nothing_has_succeeded_for_as_long_as_it_is_told(target):
    target.state.faults.order(Fault("upload_data", skip=1, times=10**6, status=503, body="gone for good"))
    with pytest.raises(ServerTrouble, match=r"gone for good \(tried \d+ times in 30 s.*5000 of 12001 rows"):
        target.load(numbered(12_001), give_up_after=timedelta(seconds=30))
    assert target.time.seconds == 30
    target.state.faults.answers.clear()
    assert counts(target.load(iter(()))) == ("committed", 12_001, 12_001, 0, 0)
    assert len(target.completed) == 1


# Crashes


@pytest.mark.parametrize("after", [False, True], ids=["before the answer", "after the answer"])
@pytest.mark.parametrize("kill_at", [1, 2, 3])
def test_a_crash_at_any_request_costs_what_was_in_flight_and_no_more(target, kill_at, after):
    target.kill_at, target.killed_after = kill_at, after
    with pytest.raises(Killed):
        target.load(numbered(12_001))
    target.kill_at = 0
    report = target.load(iter(()))  # the source is not read again
    assert counts(report) == ("committed", 12_001, 12_001, 0, 0)
    assert len(target.visible) == 12_001
    assert len(target.digests) == 4
    assert len(set(target.digests)) == 3
    assert len(target.completed) == 1


@pytest.mark.parametrize("kill_at", range(1, 40, 4))
def test_a_crash_while_bad_rows_are_looked_for(target, kill_at):
    poisonous(target, poison_named="none")
    target.kill_at = kill_at
    rows = numbered(200, poison=[40, 190])
    try:
        target.load(rows, max_rejected=2)
    except Killed:
        target.kill_at = 0
        target.load(iter(()), max_rejected=2)
    assert counts(target.report) == ("committed", 200, 198, 2, 0)
    assert (len(target.visible), len(target.completed)) == (198, 1)


def test_a_retry_goes_on_inside_a_slice_that_was_being_taken_apart(target):
    poisonous(target, poison_named="none")
    rows, bad = 6000, [40, 1900, 3100, 4800]
    target.load(numbered(rows, poison=bad), load_id=LOAD_ID[::-1], max_rejected=4)
    without = len(target.requests)
    for kill_at in range(10, 10 * (without // 10), 10):
        target.kill_at = without + kill_at
        with pytest.raises(Killed):
            target.load(numbered(rows, poison=bad), max_rejected=4)
    target.kill_at = 0
    assert counts(target.load(iter(()), max_rejected=4)) == ("committed", rows, rows - 4, 4, 0)
    assert len(target.requests) <= 2 * without + 2 * (without // 10)


def test_what_was_refused_is_known_in_another_batch_and_what_was_taken_is_not(target):
    poisonous(target, poison_named="none")
    target.kill_at = 22
    with pytest.raises(Killed):
        target.load(numbered(6000, poison=[40]), max_rejected=1)
    target.kill_at, before = 0, len(target.requests)
    report = target.load(iter(()), max_rejected=1, resume_within=timedelta(0))
    assert counts(report) == ("committed", 6000, 5999, 1, 0)
    assert [count for count, _, _ in list(target.requests)[before:]] == [4999, 1000]
    assert len(target.visible) == 5999


def test_the_bound_on_requests_counts_those_of_all_tries(target):
    poisonous(target, poison_named="none")
    for kill_at in (31, 61):
        target.kill_at = kill_at
        with pytest.raises(Killed):
            target.load(numbered(5000, poison=range(1, 5001, 7)), max_bisect_requests=80)
    target.kill_at = 0
    with pytest.raises(BisectTooLong, match="max_bisect_requests"):
        target.load(iter(()), max_bisect_requests=80)
    assert len(target.requests) <= 85


def test_a_first_try_begins_one_batch_however_short_resume_within_is(target):
    report = target.load(numbered(12_001), resume_within=timedelta(0))
    assert counts(report) == ("committed", 12_001, 12_001, 0, 0)
    assert len({batch for _, _, batch in target.requests}) == 1


@pytest.mark.parametrize("left", ["", '{"accep', "\x00\x00"])
@pytest.mark.parametrize("name", ["000000.json", "000000.json.new", "000001.json.new"])
def test_a_small_file_that_was_cut_short_costs_a_slice_and_not_the_load(target, name, left):
    target.kill_at = 3
    with pytest.raises(Killed):
        target.load(numbered(12_001))
    target.kill_at = 0
    with open(target.staging.path(f"loads/{LOAD_ID}/batch-1/{name}"), "w") as file:
        file.write(left)
    assert counts(target.load(iter(()))) == ("committed", 12_001, 12_001, 0, 0)
    assert len(target.completed) == 1


@pytest.mark.parametrize("ttl_seconds", [0, 3 * 10**11, 10**18])
def test_a_ttl_beyond_the_calendar_is_refused_before_anything_is_sent(target, ttl_seconds):
    with pytest.raises(SettingsError, match="ttl_seconds"):
        target.load(numbered(3), ttl_seconds=ttl_seconds)
    assert not target.requests
    assert target.load(numbered(3), ttl_seconds=10**11).accepted == 3


@pytest.mark.parametrize("left", ["", '{"stage'])
def test_a_journal_that_was_cut_short_is_no_new_load(target, left):
    target.load(numbered(3))
    with open(target.staging.path(f"loads/{LOAD_ID}/load.json"), "w") as file:
        file.write(left)
    with pytest.raises(DataError, match="lear the task"):
        target.load(numbered(3))
    assert len(target.requests) == 1


def test_progress_is_told_while_other_threads_settle_slices():
    outcomes, over = SliceOutcomes({number: SliceOutcome(1) for number in range(20_000)}), threading.Event()

    def settle():
        number = 20_000
        while not over.is_set() and number < 200_000:
            outcomes.by_slice[number] = SliceOutcome(1)
            number += 1

    worker = threading.Thread(target=settle)
    worker.start()
    try:
        for _ in range(50):
            assert min(outcomes.accepted, outcomes.rows) >= 20_000
    finally:
        over.set()
        worker.join()


def test_an_open_batch_that_is_too_old_is_left_and_all_rows_go_under_another(target):
    target.kill_at = 2
    with pytest.raises(Killed):
        target.load(numbered(12_001))
    target.kill_at = 0
    report = target.load(iter(()), resume_within=timedelta(0))
    assert counts(report) == ("committed", 12_001, 12_001, 0, 0)
    assert len({batch for _, _, batch in target.requests}) == 2
    assert len(target.completed) == 1


def later(target, span):
    """The next try begins so much later."""
    surroundings = replace(REAL, now=lambda: datetime.now(UTC) + span)
    target.staging = replace(target.staging, surroundings=surroundings)


def test_a_batch_that_is_gone_on_with_is_named_with_what_that_relies_on(target):
    target.kill_at = 3
    with pytest.raises(Killed):
        target.load(numbered(12_001), max_in_flight=1)
    target.kill_at = 0
    later(target, timedelta(minutes=14))
    report = target.load(iter(()), max_in_flight=1)
    assert counts(report) == ("committed", 12_001, 12_001, 0, 0)
    (note,) = (note for note in report.notes if "earlier try" in note)
    (batch,) = {batch for _, _, batch in target.requests}
    assert note.startswith(f"batch {batch} of an earlier try is gone on with: Opti-X has acknowledged 10000 rows of it")
    assert "the last ones 0:14:00 ago, and is relied on to have them still" in note


def test_a_server_that_forgot_a_batch_after_a_quarter_of_an_hour_loses_no_row(target):
    target.kill_at = 3
    with pytest.raises(Killed):
        target.load(numbered(12_001), max_in_flight=1)
    target.kill_at = 0
    later(target, timedelta(minutes=16))
    for connection in target.state.connections.values():
        connection.forget_batches(target.state.clock())
    report = target.load(iter(()))
    assert counts(report) == ("committed", 12_001, 12_001, 0, 0)
    assert len(target.visible) == 12_001
    assert not any("earlier try" in note for note in report.notes)


def test_a_closing_request_that_may_have_worked_is_sent_again_by_the_retry(target):
    target.state.faults.order(Fault("upload_data", skip=1, times=1000, lost="after"))
    with pytest.raises(Unreachable):
        target.load(numbered(5001))
    target.state.faults.answers.clear()
    assert counts(target.report) == ("failed", 5001, 0, 0, 5001)
    assert counts(target.load(iter(()))) == ("committed", 5001, 5001, 0, 0)
    assert len(target.completed) == 1


def test_a_retry_of_a_finished_load_returns_its_result_and_sends_nothing(target):
    first = target.load(numbered(3))
    again = target.load(iter(()))
    assert again.as_json() == first.as_json()
    assert len(target.requests) == 1


def test_another_load_has_another_batch(target):
    target.load(numbered(1))
    target.load(numbered(1), load_id=LOAD_ID[::-1])
    assert len({batch for _, _, batch in target.requests}) == 2


# What is said


def test_the_log_tells_the_batch_and_the_rows(target, caplog):
    with caplog.at_level(logging.INFO):
        target.load(numbered(5001))
    assert "5001 rows read, 0 of them rejected" in caplog.text
    assert "5001 rows in 2 slices" in caplog.text


def test_the_page_for_people_escapes_what_came_from_data(target):
    target.load([Unread("x", "<script>")], max_rejected=1)
    target.report.file(target.staging)
    with target.staging.open(f"reports/{LOAD_ID}.html") as page:
        text = page.read().decode()
    assert "&lt;script&gt;" in text
    assert "<script>" not in text


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [({"key_type": "number"}, "key_type 'number'"), ({"ttl_seconds": 0}, "ttl_seconds 0"), ({"ttl_seconds": -1}, "-1")],
)
def test_a_target_that_makes_no_sense_is_refused(wrong, complaint):
    with pytest.raises(SettingsError, match=complaint):
        OptixTarget("uuid", "id", **wrong)


def test_old_reports_and_loads_are_swept(target):
    target.load(numbered(1))
    target.report.file(target.staging)
    soon = datetime.now(UTC) + timedelta(seconds=5)
    assert target.staging.sweep("reports", datetime.now(UTC) - timedelta(days=30)) == []
    assert sorted(target.staging.sweep("reports", soon)) == [f"{LOAD_ID}.html", f"{LOAD_ID}.json"]
    assert target.staging.sweep("loads", soon) == [LOAD_ID]
    assert target.staging.names("loads") == []


def test_a_failure_that_no_retry_mends_does_not_promise_one(target):
    target.state.switches = Switches(poison="poison")
    with pytest.raises(NothingAccepted, match=r"was never completed: they count as unsent$"):
        target.load(numbered(1, poison=[1]), max_rejected=1)
    target.state.switches = Switches()
    target.state.faults.order(Fault("upload_data", times=9999, lost="before"))
    with pytest.raises(Unreachable) as raised:
        target.load(numbered(3), load_id="6f0f5d3a-0000-4000-8000-00000000a9a2")
    assert "A retry of this task goes on from here" in raised.value.told


# Refusals of what was perhaps there before


@pytest.mark.parametrize("max_in_flight", [1, 4])
def test_a_slice_that_is_refused_when_it_is_sent_again_is_not_taken_for_bad(target, max_in_flight):
    target.state.switches = Switches(duplicate_keys="refuse_in_batch")
    target.state.faults.order(Fault("upload_data", lost="after"))
    report = target.load(numbered(10_001), max_in_flight=max_in_flight)
    assert counts(report) == ("committed", 10_001, 10_001, 0, 0)
    assert len(target.visible) == 10_001
    assert len(target.completed) == 1
    assert len({batch for _, _, batch in target.requests}) == 2


def test_a_slice_that_died_with_its_process_may_be_refused_by_the_retry(target):
    target.state.switches = Switches(duplicate_keys="refuse_in_batch")
    target.kill_at, target.killed_after = 2, True
    with pytest.raises(Killed):
        target.load(numbered(12_001))
    target.kill_at = 0
    assert counts(target.load(iter(()))) == ("committed", 12_001, 12_001, 0, 0)
    assert len(target.visible) == 12_001


@pytest.mark.parametrize("bad", [1, 5001, 6000])
def test_a_row_that_completes_the_batch_comes_once_where_none_may_come_twice(target, bad):
    target.state.switches = Switches(duplicate_keys="refuse_in_batch", poison="poison")
    report = target.load(numbered(6000, poison=[bad]), max_rejected=1)
    assert counts(report) == ("committed", 6000, 5999, 1, 0)
    assert (len(target.visible), len(target.completed)) == (5999, 1)
    assert len({batch for _, _, batch in target.requests}) == (1 if bad == 1 else 2)


@pytest.mark.parametrize("killed_after", [False, True])
@pytest.mark.parametrize("kill_at", range(1, 22))
def test_the_row_that_was_held_back_comes_whenever_the_process_dies(target, kill_at, killed_after):
    target.state.switches = Switches(duplicate_keys="refuse_in_batch", poison="poison")
    target.kill_at, target.killed_after = kill_at, killed_after
    try:
        target.load(numbered(6, poison=[3]), max_rejected=1)
    except Killed:
        target.kill_at = 0
        target.let_a_minute_pass()
    assert counts(target.load(iter(()), max_rejected=1)) == ("committed", 6, 5, 1, 0)
    assert set(target.visible) == {str(key) for key in (1, 2, 4, 5, 6)}


def test_bad_rows_of_a_slice_whose_first_answer_was_lost_are_found_in_another_batch(target):
    poisonous(target)
    target.state.faults.order(Fault("upload_data", lost="before"))
    report = target.load(numbered(6000, poison=[7]), max_rejected=1)
    assert counts(report) == ("committed", 6000, 5999, 1, 0)
    assert len(target.visible) == 5999
