"""The window in a task: what templates see, when the task asks for it, and what is said of points without a run."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pendulum
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG, Asset, CronPartitionTimetable, CronTriggerTimetable

from optimove_provider.demo import journey
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from optimove_provider.tasks.windows.schedule import DagSchedule
from tests.support.running import context

BERLIN = pendulum.timezone("Europe/Berlin")
DAY = timedelta(days=1)
SINCE = datetime(2026, 10, 1, tzinfo=BERLIN)


def upload(dag, **kwargs) -> OptixUploadOperator:
    return OptixUploadOperator(
        task_id="upload",
        dag=dag,
        primary_key="id",
        **{
            "data_connection_uuid": "0b0a3f0e-4fb1-4a1b-93a1-9f6f0d6f0001",
            "sql": "SELECT '{{ window.start }}' AS id, '{{ window.end | ds }}' AS day",
            **kwargs,
        },
    )


class Run:
    """What a worker is told of a run."""

    partition_key = partition_date = None

    def __init__(self, run_after, run_type="scheduled"):
        self.run_after, self.run_type = run_after, run_type


def rendered(dag, run, told=None, **kwargs) -> OptixUploadOperator:
    """The task with its templates filled in."""
    task = upload(dag, **kwargs)
    task.render_template_fields({**context(task), "dag": dag, "dag_run": run, "params": {}, **(told or {})})
    return task


def test_a_nightly_run_in_berlin_has_the_day_before_as_berlin_has_it():
    days = []
    for day in (24, 25, 26, 27):  # the clocks are put back on the 25th
        at = datetime(2026, 10, day, 1, tzinfo=BERLIN).astimezone(UTC)
        task = rendered(nightly(), Run(at), {"data_interval_start": at, "data_interval_end": at})
        days.append((task.sql, task.generation(None).isoformat()))
    assert days == [
        ("SELECT '2026-10-23 00:00:00+02:00' AS id, '2026-10-24' AS day", "2026-10-23T22:00:00+00:00"),
        ("SELECT '2026-10-24 00:00:00+02:00' AS id, '2026-10-25' AS day", "2026-10-24T22:00:00+00:00"),
        ("SELECT '2026-10-25 00:00:00+02:00' AS id, '2026-10-26' AS day", "2026-10-25T23:00:00+00:00"),
        ("SELECT '2026-10-26 00:00:00+01:00' AS id, '2026-10-27' AS day", "2026-10-26T23:00:00+00:00"),
    ]


def test_since_and_until_of_a_backfills_form_do_nothing():
    told = {"params": {"since": "2026-01-01", "until": "2026-02-01"}}
    windows = [rendered(nightly(), Run(night(27), kind), told).sql for kind in ("manual", "backfill")]
    assert windows == [
        "SELECT '2026-01-01 00:00:00+01:00' AS id, '2026-02-01' AS day",
        "SELECT '2026-10-26 00:00:00+01:00' AS id, '2026-10-27' AS day",
    ]


def test_the_zone_of_the_timetable_counts_before_that_of_the_start_date():
    dag = DAG("a", schedule=CronTriggerTimetable("0 19 * * *", timezone="America/New_York"), start_date=SINCE)
    task = rendered(dag, Run(datetime(2026, 11, 2, 12, tzinfo=UTC), "manual"))
    assert task.sql == "SELECT '2026-10-31 00:00:00-04:00' AS id, '2026-11-01' AS day"


@pytest.mark.parametrize("schedule", [None, "@once", "@continuous", timedelta(hours=1), [Asset("a")]])
def test_a_run_whose_window_cannot_be_told_stops_and_asks(schedule):
    dag = DAG("a", schedule=schedule, start_date=SINCE, max_active_runs=1)
    with pytest.raises(AirflowFailException, match="Give window=, or the params since and until"):
        rendered(dag, Run(datetime(2026, 11, 2, tzinfo=UTC), "manual"))


def test_a_run_that_assets_triggered_stops_and_asks_although_the_dag_has_a_schedule():
    dag = DAG("a", schedule="@daily", start_date=SINCE)
    with pytest.raises(AirflowFailException, match="triggered by assets"):
        rendered(dag, Run(datetime(2026, 11, 2, tzinfo=UTC), "asset_triggered"))


def test_a_window_that_is_given_is_the_one_of_the_templates():
    given = {"start": "{{ params.day }}", "end": "2026-10-26T00:00:00+01:00"}
    dag = DAG("a", schedule=None, start_date=SINCE)
    task = rendered(dag, Run(None, "manual"), {"params": {"day": "2026-10-25"}}, window=given)
    assert task.sql == "SELECT '2026-10-25 00:00:00+02:00' AS id, '2026-10-26' AS day"
    assert task.generation(task.window) == datetime(2026, 10, 25, 23, tzinfo=UTC)


def test_a_given_window_may_be_made_of_the_runs():
    given = {"start": "2026-10-01", "end": "{{ window.end }}"}
    dag = DAG("a", schedule="0 1 * * *", start_date=SINCE)
    task = rendered(dag, Run(datetime(2026, 10, 26, 12, tzinfo=UTC), "manual"), window=given)
    assert task.window == {"start": "2026-10-01", "end": "2026-10-26 00:00:00+01:00"}
    assert task.sql == "SELECT '2026-10-01 00:00:00+02:00' AS id, '2026-10-26' AS day"


def test_a_given_window_that_is_moved_from_the_runs_is_moved_once():
    day_before = {name: f"{{{{ window.{name} - macros.timedelta(days=1) }}}}" for name in ("start", "end")}
    task = rendered(nightly(), Run(night(27)), {"macros": SimpleNamespace(timedelta=timedelta)}, window=day_before)
    assert task.sql == "SELECT '2026-10-25 00:00:00+02:00' AS id, '2026-10-26' AS day"
    assert task.generation(task.window) == datetime(2026, 10, 25, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("lookback", "start"),
    [
        (timedelta(0), "2026-10-26 00:00:00+01:00"),
        (DAY, "2026-10-25 00:00:00+02:00"),  # a day of 25 hours
        (3 * DAY, "2026-10-23 00:00:00+02:00"),
        (timedelta(hours=25), "2026-10-24 23:00:00+02:00"),
        (timedelta(hours=23), "2026-10-25 02:00:00+02:00"),
        (1800, "2026-10-25 23:30:00+01:00"),
        ("{{ params.hours * 3600 }}", "2026-10-25 22:00:00+01:00"),
    ],
)
def test_a_lookback_moves_what_templates_select_and_nothing_else(lookback, start, caplog, capfd):
    told = {"params": {"hours": 2}}
    task = rendered(nightly(), Run(night(27)), told, window_lookback=lookback)
    assert task.sql == f"SELECT '{start}' AS id, '2026-10-27' AS day"
    task.read_rendered()
    assert task.generation(None) == datetime(2026, 10, 26, 23, tzinfo=UTC)
    assert str(task.stands_for).startswith("2026-10-26T00:00:00+01:00 to 2026-10-27T00:00:00+01:00")
    assert ("earlier" in caplog.text + capfd.readouterr().out) == bool(lookback)


def test_a_lookback_that_ends_where_no_clock_ever_was_begins_an_hour_on():
    given = {"start": "2026-03-30T02:30:00+02:00", "end": "2026-03-31"}
    task = rendered(DAG("a", schedule=None, start_date=SINCE), Run(None, "manual"), window=given, window_lookback=DAY)
    assert "'2026-03-29 03:30:00+02:00'" in task.sql


def test_a_lookback_counts_once_for_a_window_that_is_made_of_the_runs():
    given = {"start": "{{ window.start }}", "end": "{{ window.end }}"}
    task = rendered(nightly(), Run(night(27)), window=given, window_lookback=DAY)
    assert task.window["start"] == "2026-10-26 00:00:00+01:00"
    assert "'2026-10-25 00:00:00+02:00'" in task.sql


def test_a_lookback_to_before_the_calendar_stops_the_task_and_is_named():
    with pytest.raises(AirflowFailException, match="window_lookback=1000000 days, 0:00:00: before the year 1"):
        rendered(nightly(), Run(night(27)), window_lookback=timedelta(days=1_000_000))


def test_points_without_a_run_are_the_same_with_a_lookback():
    at = night(27)
    task = rendered(nightly(), Run(at), {"ti": Told([night(25)]), "data_interval_end": at}, window_lookback=5 * DAY)
    notes = Notes()
    task.note_missed_points(notes)
    assert "has 1 point" in notes[0]


class Told:
    """A task instance that knows which runs there are."""

    def __init__(self, dates=(), run_ids=()):
        self.dates, self.run_ids, self.asked = set(dates), run_ids, 0

    dag_id, task_id, run_id, map_index, try_number, max_tries = "a", "upload", "r", -1, 1, 0

    def get_dr_count(self, dag_id, logical_dates):
        self.asked += 1
        return len(self.dates & set(logical_dates))

    def get_task_states(self, dag_id, task_ids):
        return {run_id: {"upload": "success"} for run_id in self.run_ids}


class Notes(list):
    note = list.append


def said(dag, run, ti, told=None) -> list[str]:
    """What the report notes of missed points."""
    task, notes = rendered(dag, run, {"ti": ti, **(told or {})}), Notes()
    task.note_missed_points(notes)
    return notes


def night(day) -> datetime:
    return datetime(2026, 10, day, 1, tzinfo=BERLIN).astimezone(UTC)


def nightly() -> DAG:
    return DAG("a", schedule="0 1 * * *", start_date=SINCE)


@pytest.mark.parametrize(("ran", "count"), [((26,), None), ((25,), 1), ((1, 14), 12), ((3,), 23), ((), 26)])
def test_points_without_a_run_are_named_with_the_backfill_that_fills_them(ran, count, caplog, capfd):
    at = night(27)
    ti = Told([night(day) for day in ran])
    told = said(nightly(), Run(at), ti, {"data_interval_start": at, "data_interval_end": at})
    if count is None:
        assert told == []
        return
    (text,) = told
    first = night(max(ran, default=0) + 1).isoformat()
    assert f"has {count} point" in text
    assert f"airflow backfill create --dag-id a --from-date {first} --to-date {night(26).isoformat()}" in text
    assert "2026-10-26T01:00:00+01:00" in text
    assert text in caplog.text + capfd.readouterr().out
    assert ti.asked < 12


def test_nothing_is_said_to_a_run_by_hand_a_backfill_or_where_the_dag_has_no_start():
    at = night(27)
    exact = {"data_interval_start": at, "data_interval_end": at}
    assert said(nightly(), Run(at + timedelta(hours=3), "manual"), Told()) == []
    assert said(nightly(), Run(at, "backfill"), Told(), exact) == []
    no_start = DAG("a", schedule=CronTriggerTimetable("0 1 * * *", timezone="Europe/Berlin"))
    assert said(no_start, Run(at), Told(), exact) == []


def test_where_airflow_does_not_answer_nothing_is_said():
    at = night(27)
    assert said(nightly(), Run(at), None, {"data_interval_start": at, "data_interval_end": at}) == []


def test_of_partitions_the_runs_are_known_by_their_keys():
    timetable = CronPartitionTimetable("0 0 * * *", timezone="America/New_York", run_offset=-1)
    dag = DAG("a", schedule=timetable, start_date=datetime(2026, 10, 1, tzinfo=UTC))
    at = datetime(2026, 11, 3, 5, tzinfo=UTC)
    date = {"partition_date": datetime(2026, 11, 2, 5, tzinfo=UTC)}
    ids = [f"scheduled__2026-10-30T04:00:00+00:00__{stamp}__abc" for stamp in keys_of(timetable, 29)]
    (text,) = said(dag, Run(at), Told(run_ids=ids), date)
    assert "3 points" in text
    assert "2026-11-01T00:00:00-04:00" in text


def keys_of(timetable, day) -> list[str]:
    schedule = DagSchedule(timetable)
    after = datetime(2026, 10, day + 1, 12, tzinfo=UTC)
    return [schedule.until(after)[1].partition_key]


def test_airflow_itself_tells_of_runs(emulator, airflow_db):
    with DAG("with_a_gap", schedule="0 1 * * *", start_date=SINCE, catchup=False) as dag:
        uuid = OptixCreateConnectionOperator(task_id="create", name="gap", primary_key="id").execute({})
        upload(dag, data_connection_uuid=uuid, sql_conn_id="warehouse_default")
    journey.register(dag)
    for day in (20, 24):
        outcome = journey.run(dag, logical_date=night(day))
        assert outcome.state == "success"
    with open(outcome.results["upload"]["report"].removeprefix("file://")) as report:
        text = report.read()
    span = f"--from-date {night(21).isoformat()} --to-date {night(23).isoformat()}"
    assert f"airflow backfill create --dag-id with_a_gap {span}" in text
