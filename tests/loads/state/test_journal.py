"""The write-ahead log of a load: its stages, and what a retry finds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.bisect_log import Answered, BisectLog
from optimove_provider.loads.state.journal import (
    MAX_BATCHES,
    MEANING,
    TRANSITIONS,
    Journal,
    OtherTarget,
    Overtaken,
    Rejection,
    SliceOutcome,
    Stage,
    TooManyBatches,
)
from optimove_provider.surroundings import REAL

LOAD_ID = "6f0f5d3a-0000-4000-8000-00000000beef"


class Clock:
    def __init__(self):
        self.now = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def staging(staging_on_disk, clock):
    return replace(staging_on_disk, surroundings=replace(REAL, now=lambda: clock.now))


@pytest.fixture
def journal(staging):
    return Journal(staging, LOAD_ID)


def again(journal):
    """The journal as the next try finds it."""
    return Journal(journal.staging, LOAD_ID)


def read(journal):
    journal.begin_reading()
    journal.rows_read({"rows": 1})
    return journal


def test_every_stage_has_a_meaning_and_can_be_reached_and_left():
    assert set(MEANING) == set(TRANSITIONS) == set(Stage)
    reached = {after for following in TRANSITIONS.values() for after in following}
    assert reached == set(Stage) - {Stage.NEW}
    assert [stage for stage, following in TRANSITIONS.items() if not following] == [Stage.FINISHED]


def test_a_load_goes_through_its_stages_and_each_is_written_down(journal):
    stages = [again(read(journal)).stage]
    journal.planned({"version": 1})
    stages.append(again(journal).stage)
    journal.begin_batch()
    stages.append(again(journal).stage)
    journal.intend_to_complete()
    stages.append(again(journal).stage)
    journal.completed()
    stages.append(again(journal).stage)
    journal.committed()
    stages.append(again(journal).stage)
    journal.finish({"rows": 1})
    stages.append(again(journal).stage)
    assert stages == ["read", "planned", "sending", "closing", "completed", "committed", "finished"]
    assert again(journal).result == {"rows": 1}


def test_a_transition_that_is_not_in_the_table_is_refused_and_not_written(journal):
    read(journal)
    with pytest.raises(AssertionError, match="cannot go from read to committed"):
        journal.committed()
    assert again(journal).stage is Stage.READ


def test_rows_are_read_again_until_a_request_was_made(journal):
    read(journal)
    assert again(journal).rows(resumed=False) is None
    assert again(journal).rows(resumed=True) == {"rows": 1}
    journal.begin_batch()
    assert again(journal).rows(resumed=False) == {"rows": 1}


def test_rows_that_were_planned_are_kept_apart_from_those_read_after_them(journal):
    first = journal.begin_reading()
    journal.rows_read({"rows": 1})
    journal.planned({"version": 1})
    assert journal.begin_reading() != first
    assert journal.plan == {}


def test_a_batch_is_resumed_with_its_uuid_and_its_outcomes(journal, clock):
    read(journal).begin_batch()
    outcome = SliceOutcome(4, (Rejection(2, 422, "bad"),))
    journal.record(0, outcome)
    clock.now += timedelta(minutes=59)
    found = again(journal)
    assert found.resume_or_begin_batch(timedelta(hours=1)) == {0: outcome}
    assert found.batch_uuid == journal.batch_uuid


def test_a_batch_that_is_too_old_gives_way_to_another(journal, clock):
    read(journal).begin_batch()
    journal.record(0, SliceOutcome(5))
    clock.now += timedelta(minutes=61)
    found = again(journal)
    assert found.resume_or_begin_batch(timedelta(hours=1)) == {}
    assert found.batch_uuid != journal.batch_uuid
    assert found.has_sent_before


def test_how_long_a_batch_was_silent_counts_and_not_how_long_it_is_open(journal, clock):
    read(journal).begin_batch()
    for number in range(9):
        clock.now += timedelta(minutes=10)
        journal.record(number, SliceOutcome(5))
    clock.now += timedelta(minutes=14)
    assert len(again(journal).resume_or_begin_batch(timedelta(minutes=15))) == 9
    clock.now += timedelta(minutes=2)
    assert again(journal).resume_or_begin_batch(timedelta(minutes=15)) == {}


def test_an_answer_about_part_of_a_slice_breaks_the_silence(journal, clock):
    read(journal).begin_batch()
    clock.now += timedelta(minutes=20)
    BisectLog(journal, "", [0]).add(0, Answered((0, 1)))
    clock.now += timedelta(minutes=10)
    found = again(journal)
    assert found.resume_or_begin_batch(timedelta(minutes=15), BisectLog(found, "", [0]).last) == {}
    assert found.batch == journal.batch
    assert again(journal).resume_or_begin_batch(timedelta(minutes=15)) == {}
    assert again(journal).batch == journal.batch + 1


def test_a_new_plan_leaves_the_open_batch(journal):
    read(journal).begin_batch()
    journal.record(0, SliceOutcome(5))
    journal.planned({"version": 2})
    assert again(journal).resume_or_begin_batch(timedelta(hours=1)) == {}


@pytest.mark.parametrize(
    ("steps", "in_doubt"),
    [
        (["begin_batch"], False),
        (["begin_batch", "intend_to_complete"], True),
        (["begin_batch", "intend_to_complete", "completing_refused"], False),
        (["begin_batch", "begin_batch"], True),
    ],
)
def test_what_may_be_visible_is_known_also_after_another_plan(journal, steps, in_doubt):
    read(journal)
    for step in steps:
        getattr(journal, step)()
    assert again(journal).may_be_visible is in_doubt
    journal.planned({"version": 2})
    assert again(journal).may_be_visible is in_doubt


def test_after_five_batches_the_load_ends(journal):
    read(journal)
    for _ in range(MAX_BATCHES):
        journal.begin_batch()
    with pytest.raises(TooManyBatches, match="5 batches were begun and none was completed"):
        journal.begin_batch()


def test_a_finished_load_leaves_nothing_but_its_result(journal):
    read(journal).begin_batch()
    journal.record(0, SliceOutcome(5))
    journal.finish({})
    assert journal.staging.names(journal.folder) == ["load.json"]


def test_a_journal_of_a_newer_version_is_not_guessed_at(journal):
    journal.staging.write(f"{journal.folder}/load.json", {"format": 99})
    with pytest.raises(DataError, match=r"newer version of this provider \(format 99, this one knows 1\)"):
        again(journal)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"format": 1, "stage": "rea', '{"stage": "lost"}', '{"format": "1"}', '{"stage":"new","a":1}'],
)
def test_a_journal_that_cannot_be_read_says_what_comes_next(journal, text):
    read(journal)
    journal.staging.write_text(f"{journal.folder}/load.json", text)
    with pytest.raises(DataError, match=r"load\.json is empty, cut short .* clear the task: .* Nothing is lost"):
        again(journal)


def test_a_load_of_files_is_prepared_with_its_report_until_one_cannot_be_completed(journal):
    age = Age(datetime(2026, 5, 2, tzinfo=UTC), datetime(2026, 5, 3, tzinfo=UTC))
    journal.begin_files()
    journal.prepared({"rows": 2}, age)
    found = again(journal)
    assert (found.stage, found.prepared_report, found.prepared_age) == (Stage.PREPARED, {"rows": 2}, age)
    found.unprepared()
    found = again(found)
    assert (found.stage, found.prepared_report, found.prepared_age) == (Stage.SENDING, None, None)


def test_rows_of_which_files_were_begun_stay_what_they_are(journal):
    read(journal).begin_files()
    again(journal).planned({"version": 2})
    assert again(journal).rows(resumed=False) == {"rows": 1}


def test_a_journal_of_before_targets_were_remembered_goes_to_whichever_is_named(journal):
    journal.rows_read({"rows": 1})
    journal.begin_batch()
    path = f"{journal.folder}/load.json"
    older = {name: told for name, told in journal.staging.read(path).items() if name not in ("target", "writer")}
    journal.staging.write(path, older)
    found = again(journal)
    found.goes_to({"optix": "a", "host": "h"})
    found.intend_to_complete()
    with pytest.raises(OtherTarget, match="optix:a at h, and its task names optix:b at h now"):
        again(journal).goes_to({"optix": "b", "host": "h"})
    again(journal).goes_to({"optix": "a", "host": "other", "target_alias": "same"})


def test_of_two_tries_the_one_that_came_first_writes_nothing_more(journal):
    journal.rows_read({"rows": 1})
    later = again(journal)
    later.take_up()
    assert (journal.was_overtaken, later.was_overtaken) == (True, False)
    with pytest.raises(Overtaken):
        journal.begin_batch()
    later.begin_batch()
    assert again(journal).stage is Stage.SENDING
