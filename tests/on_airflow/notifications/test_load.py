"""Notices: once when a load becomes bad, once when it is well again, whatever fails meanwhile."""

import json
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG, BaseNotifier

from optimove_provider.loads.state.staging import Staging
from optimove_provider.notifications.late import tell_late
from optimove_provider.notifications.load import DegradedLoadNotifier, RecoveredNotifier, RejectedRowsNotifier
from optimove_provider.notifications.state import Found, told_once
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUpdateOperator, OptixUploadOperator
from optimove_provider.tasks.staging import staging
from tests.support.running import context
from tests.support.telling import runs

ROWS = [{"id": "1", "age": 3}, {"id": "2", "age": 4}]
KEYLESS = [{"id": None, "age": 5}]


@pytest.fixture
def connection(emulator) -> str:
    return OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})


@pytest.fixture
def ends(connection):
    """A function that loads rows with a task, and calls a notifier as Airflow does when it ends."""

    def end(notifier, rows, kind=OptixUploadOperator, **arguments):
        upload = kind(task_id="load", data_connection_uuid=connection, primary_key="id", source=rows, **arguments)
        told = context(upload)
        told["ti"].xcom_pull = lambda task_ids, key, map_indexes: told["ti"].pushed.get(key)
        try:
            upload.execute(told)
        except Exception as error:
            told["exception"] = error
        with suppress(RuntimeError):  # Airflow logs what a callback raises
            notifier(told)

    return end


@pytest.fixture
def notices() -> list:
    return []


def test_rejected_rows_are_told_once_and_so_is_that_they_are_gone(ends, notices):
    watch = RejectedRowsNotifier(max_rejected=0.4, send=notices.append)
    for rows in (ROWS, ROWS + KEYLESS, ROWS + KEYLESS * 2, ROWS + KEYLESS * 2, ROWS, ROWS):
        ends(watch, rows, max_rejected=9)
    assert [(one.is_well, one.subject) for one in notices] == [
        (False, "dag.load: 2 of 4 rows were rejected"),
        (True, "dag.load: well again"),
    ]
    assert notices[0].account["rejected"] == 2
    assert f"load?id={notices[0].account['load_id']}" in notices[0].text
    assert "after trouble since 20" in notices[1].text


def test_a_failure_too_few_rows_too_long_and_too_old_are_degraded(ends, notices):
    old = {"window": {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}}
    watch = DegradedLoadNotifier(min_rows=3, max_age=timedelta(days=1), max_duration=1e-6, send=notices.append)
    ends(watch, ROWS, **old)
    assert [one.subject.partition(": ")[2].split("; ")[0] for one in notices] == ["2 rows, of at least 3"]
    assert "the load took 0:00:0" in notices[0].subject
    assert " days, " in notices[0].subject.partition("what it brought is ")[2]
    failed = DegradedLoadNotifier(send=notices.append)
    ends(failed, ROWS)
    ends(failed, ROWS + KEYLESS)
    assert [one.is_well for one in notices] == [False, True, False], "the task and what is watched are the same"
    assert notices[2].subject == "dag.load: the task failed"


def test_only_a_recovery_is_told_where_only_that_is_asked_for(ends, notices):
    watch = RecoveredNotifier(send=notices.append)
    for rows in (ROWS, ROWS + KEYLESS, ROWS + KEYLESS, ROWS, ROWS):
        ends(watch, rows)
    assert [one.is_well for one in notices] == [True]


def test_a_notice_that_could_not_be_sent_is_sent_next_time(ends, notices):
    tried = []

    def send(notice):
        tried.append(notice)
        if len(tried) == 1:
            raise RuntimeError("the mail server is gone")
        notices.append(notice)

    watch = RejectedRowsNotifier(send=send)
    for _ in range(3):
        ends(watch, ROWS + KEYLESS, max_rejected=1)
    assert (len(tried), len(notices)) == (2, 1)


@pytest.mark.parametrize(
    ("kind", "told"), [(OptixUploadOperator, "2 accepted,"), (OptixUpdateOperator, "2 accepted (counted by nobody),")]
)
def test_a_notice_says_who_counted_the_accepted_rows(ends, notices, kind, told):
    ends(RejectedRowsNotifier(send=notices.append), ROWS + KEYLESS, kind, max_rejected=9)
    assert told in notices[0].text


def test_a_dry_run_is_no_end(ends, notices):
    ends(DegradedLoadNotifier(min_rows=99, send=notices.append), ROWS, dry_run=True)
    assert notices == []


def test_of_many_that_find_it_at_once_one_tells(emulator):
    place, told, gate = staging(), [], threading.Barrier(8)

    def find():
        gate.wait()
        told_once(place, Found("dag.task", is_well=False, since="now"), told.append)

    threads = [threading.Thread(target=find) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1


def test_on_a_storage_without_compare_and_swap_it_is_told_all_the_same():
    from fsspec.implementations.memory import MemoryFileSystem

    place, told = Staging(MemoryFileSystem(), "/notices-of-a-test"), []
    for is_well in (True, False, False, True):
        told_once(place, Found("dag.task", is_well), told.append)
    assert [one.is_well for one in told] == [True, False]


class Letters(BaseNotifier):
    """Another notifier, such as one of mail: it renders its own templates."""

    template_fields = ("subject",)

    def __init__(self, subject, to):
        super().__init__()
        self.subject, self.to = subject, to

    def notify(self, context):
        with open(self.to, "a") as file:
            file.write(f"{self.subject}\n")


def test_on_real_airflow_another_notifier_sends_and_a_retry_is_no_change(emulator, airflow_db, connection, tmp_path):
    file, letters = tmp_path / "rows.jsonl", tmp_path / "letters"
    watch = DegradedLoadNotifier(send=Letters("{{ notice.subject }} in {{ dag.dag_id }}", str(letters)))
    with DAG("watched_in_a_test") as dag:
        OptixUploadOperator(
            task_id="load",
            data_connection_uuid=connection,
            primary_key="id",
            source=str(file),
            on_success_callback=watch,
            on_failure_callback=[watch],
        )
    for content in ('{"id": null}\n', '{"id": null}\n', '{"id": 1}\n', '{"id": 2}\n'):
        file.write_text(content)
        runs.run(dag)
    assert letters.read_text().splitlines() == [
        "watched_in_a_test.load: the task failed in watched_in_a_test",
        "watched_in_a_test.load: well again in watched_in_a_test",
    ]


def test_a_deadline_is_told_with_what_airflow_gives_it(caplog):
    told = {"dag_run": {"dag_id": "d", "dag_run_id": "r"}, "deadline": {"deadline_time": str(datetime.now(UTC))}}
    tell_late(context=json.loads(json.dumps(told)))
    assert "run r of d is not through by its deadline, 20" in caplog.text
