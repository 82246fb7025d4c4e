"""What staging forgets of loads, and what it keeps whatever the settings: all that somebody may need still."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from optimove_provider.contract.wire.errors import Unreachable
from optimove_provider.emulator.model.faults import Fault
from optimove_provider.loads.evidence.upload_history import sample_path
from optimove_provider.loads.history.retention import sweep
from optimove_provider.loads.ledger.compaction import maintain
from optimove_provider.loads.ledger.lease import acquired
from optimove_provider.loads.report.max_rejected import TooManyRejected
from optimove_provider.loads.state.load_id import TaskTry, begin
from optimove_provider.loads.state.retention import Retention
from tests.support.optix_target import Killed, Target, numbered, record

TASK = TaskTry("dag", "task", "run", -1, try_number=1, max_tries=1, retries=1)


@pytest.fixture
def target(tmp_path):
    made = Target(tmp_path)
    made.staging = replace(made.staging, retention=Retention(loads=3))
    return made


def load_id_of(target, run, try_number=1):
    return begin(target.staging, replace(TASK, run_id=run, try_number=try_number))


def load(target, run, count=3, try_number=1, **wanted):
    load_id = load_id_of(target, run, try_number)
    target.load(numbered(count), load_id=load_id, mode="changed", source_is="delta", **wanted)
    return load_id


def die(target, run, count=3, **wanted):
    """A load whose process is killed at its first request."""
    target.kill_at = len(target.bodies) + 1
    with pytest.raises(Killed):
        load(target, run, count, **wanted)
    target.kill_at = 0
    target.let_a_minute_pass()


def many(target, count=4):
    return [load(target, f"run {number}") for number in range(count)]


def known(target, folder):
    return {name[:36] for name in target.staging.names(folder)}


def test_of_loads_that_have_ended_only_the_newest_stay(target):
    loads = many(target)
    sweep(target.staging)
    assert known(target, "reports") == known(target, "loads") == set(loads[1:])
    assert len(target.staging.names("tries")) == 3


def test_none_goes_while_there_are_as_many_as_may_stay_or_no_number_is_set(target):
    loads = many(target, 3)
    sweep(target.staging)
    assert known(target, "reports") == set(loads)
    load(target, "one more")
    target.staging = replace(target.staging, retention=Retention())
    sweep(target.staging)
    assert len(known(target, "reports")) == 4


def test_a_try_of_a_forgotten_load_begins_another_one(target):
    """Airflow may not know that the first try was through; its batch must not be opened again."""
    (first, *_) = many(target)
    sweep(target.staging)
    again = load(target, "run 0", try_number=2)
    assert again != first
    assert target.report.unchanged == 3


def test_a_load_that_another_try_has_just_begun_stays(target):
    """It is about to look whether it was finished."""
    (first, *_) = many(target)
    assert load_id_of(target, "run 0", try_number=2) == first
    sweep(target.staging)
    assert first in known(target, "loads") & known(target, "reports")
    assert f"{first}.json" in target.staging.names("reports")
    load(target, "run 0", try_number=3)
    assert len(target.completed) == 1, "what was finished is not sent again"


def test_a_load_that_died_goes_on_however_many_came_after_it(target):
    die(target, "dead", 30)
    dead = load_id_of(target, "dead", 2)
    many(target)
    sweep(target.staging)
    assert dead in known(target, "loads")
    target.load(numbered(30), load_id=dead, mode="changed", source_is="delta")
    assert target.visible == {str(row): record(row) for row in range(1, 31)}


def test_a_failed_try_goes_on_while_airflow_has_another_one(target):
    target.state.faults.order(Fault("upload_data", times=9999, lost="before"))
    failed = load_id_of(target, "failed")
    with pytest.raises(Unreachable):
        target.load(numbered(5), load_id=failed, mode="changed", source_is="delta", give_up_after=1)
    target.state.faults.answers.clear()
    target.let_a_minute_pass()
    many(target)
    sweep(target.staging)
    assert failed in known(target, "loads")
    assert failed in known(target, "reports")


def test_one_that_failed_for_good_goes_with_its_frozen_rows(target):
    failed = load_id_of(target, "failed")
    with pytest.raises(TooManyRejected):
        target.load(numbered(5, bad=[1, 2]), load_id=failed, mode="changed", source_is="delta")
    many(target)
    sweep(target.staging)
    assert failed not in known(target, "loads") | known(target, "reports")


def test_frozen_rows_go_once_nothing_can_come_of_them_and_stay_for_a_retry(target):
    target.staging = replace(target.staging, retention=Retention())
    hopeless, hopeful = load_id_of(target, "hopeless"), load_id_of(target, "hopeful")
    with pytest.raises(TooManyRejected):
        target.load(numbered(5, bad=[1, 2]), load_id=hopeless, mode="changed", source_is="delta")
    target.state.faults.order(Fault("upload_data", times=9999, lost="before"))
    with pytest.raises(Unreachable):
        target.load(numbered(5), load_id=hopeful, mode="changed", source_is="delta", give_up_after=1)
    assert [bool(frozen(target, load_id)) for load_id in (hopeless, hopeful)] == [True, True]
    sweep(target.staging)
    assert [bool(frozen(target, load_id)) for load_id in (hopeless, hopeful)] == [False, True]
    assert {hopeless, hopeful} <= known(target, "reports") & known(target, "loads")


def frozen(target, load_id):
    return [path for path in target.staging.files_below(f"loads/{load_id}") if path.endswith(".parquet")]


def test_what_an_intent_names_stays_although_it_failed_for_good(target):
    die(target, "dead", 5)
    dead = load_id_of(target, "dead", 2)
    report = {"state": "failed", "next_step": "Clear the task"}
    for load_id in (dead, *(str(uuid.uuid4()) for _ in range(4))):
        target.staging.write(f"reports/{load_id}.json", report)
    assert dead in target.ledger.read().intents
    sweep(target.staging)
    assert dead in known(target, "loads") & known(target, "reports")
    assert frozen(target, dead)
    assert len(known(target, "reports")) < 5


def test_files_of_which_nobody_knows_whether_they_were_imported_keep_their_load(target):
    in_doubt, other = str(uuid.uuid4()), str(uuid.uuid4())
    for load_id in (in_doubt, other):
        target.staging.write(f"reports/{load_id}.json", {"state": "failed", "next_step": "Clear the task"})
    target.staging.write(f"ledgers/dcp-1/in-doubt/{in_doubt}.json", {"s3_keys": [], "recorded": ""})
    many(target)
    sweep(target.staging)
    assert in_doubt in known(target, "reports")
    assert other not in known(target, "reports")


@pytest.mark.parametrize(("replaced", "left"), [(timedelta(0), 1), (timedelta(days=1), 7)])
def test_files_that_a_ledger_has_replaced_stay_as_long_as_is_set(target, replaced, left):
    target.staging = replace(target.staging, retention=Retention(replaced=replaced))
    for number in range(3):
        load(target, f"run {number}", 4 + 4 * number)
    ledger = target.ledger
    assert len(ledger.read().layers) == 1, "made one of, as each load was large"
    with acquired(ledger.manifest_file, str(uuid.uuid4()), 1) as lease:
        maintain(ledger, lease)
    assert len(target.staging.names(ledger.layers.folder)) == left
    assert len(target.visible) == 12


def test_a_load_goes_with_all_that_is_known_of_it_on_a_disk_and_on_s3(any_staging):
    place = replace(any_staging, retention=Retention(loads=2))
    tries = [replace(TASK, run_id=f"run {number}") for number in range(3)]
    loads = [begin(place, one) for one in tries]
    for load_id in loads:
        place.write(f"tries/{load_id}-resumed.json", {"at": ""})
        place.write(f"loads/{load_id}/load.json", {"stage": "finished"})
        place.write(sample_path(load_id), {})
        place.write_text(f"reports/{load_id}.rejected.jsonl", "{}")
        place.write(f"reports/{load_id}.json", {"state": "committed", "s3_keys": [load_id]})
    sweep(place)
    (gone,) = set(loads) - {name[:36] for name in place.names("reports")}
    left = [path for folder in ("tries", "loads", "samples", "reports") for path in place.files_below(folder)]
    assert len(left) == 2 * 6
    assert not [path for path in left if gone in path]
    assert place.read(tries[loads.index(gone)].path) is None
