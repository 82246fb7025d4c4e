"""Rejected rows, mended and sent again by the command."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from optimove_provider.cli import main
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from optimove_provider.tasks.staging import staging
from tests.support.running import run

pytestmark = pytest.mark.any_version

ROWS = [{"id": number, "word": "poison" if number in (2, 4) else "well"} for number in range(1, 6)]


@pytest.fixture
def connection(emulator):
    return OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})


@pytest.fixture
def rejected(emulator, connection):
    """The rejected file of a load of which two rows were refused."""
    emulator.state.switches = Switches(poison="poison")
    upload = OptixUploadOperator(
        task_id="upload", data_connection_uuid=connection, primary_key="id", source=ROWS, max_rejected=2
    )
    result = run(upload)
    assert (result["accepted"], result["rejected"]) == (3, 2)
    return result["report"].removesuffix(".json") + ".rejected.jsonl"


def words(emulator, connection):
    visible = emulator.state.connections[connection].visible(emulator.state.clock())
    return {key: record.data["word"] for key, record in visible.items()}


def printed(capfd):
    """The account; in these tests Airflow logs to stdout too."""
    return json.loads("{\n" + f"\n{capfd.readouterr().out}".rpartition("\n{\n")[2])


def edit(file, old, new, count=-1):
    path = file.removeprefix("file://")
    with open(path) as lines:
        text = lines.read()
    assert old in text
    with open(path, "w") as lines:
        lines.write(text.replace(old, new, count))


def test_mended_rows_land_and_the_account_is_printed(emulator, connection, rejected, capfd):
    edit(rejected, '"word":"poison"', '"word":"mended"')
    assert main(["replay", "--output", "json", rejected]) == 0
    account = printed(capfd)
    assert (account["state"], account["rows"], account["accepted"], account["rejected"]) == ("committed", 2, 2, 0)
    assert words(emulator, connection) == {"1": "well", "2": "mended", "3": "well", "4": "mended", "5": "well"}


def test_what_is_still_wrong_is_rejected_again_into_a_file_of_its_own(emulator, connection, rejected, capfd):
    edit(rejected, '"word":"poison"', '"word":"mended"', 1)
    assert main(["replay", "--output", "json", rejected]) == 1
    account = printed(capfd)
    assert (account["accepted"], account["rejected"]) == (1, 1)
    assert account["rejected_file"] != rejected
    assert main(["replay", "--output", "json", account["rejected_file"]]) == 1


@pytest.mark.parametrize("rows", [1, 5, pytest.param(130, marks=pytest.mark.any_version)])
def test_rows_that_are_all_still_bad_are_rejected_again_into_a_file(emulator, connection, capfd, rows):
    emulator.state.switches = Switches(poison="poison")
    source = [{"id": number, "word": "poison"} for number in range(rows)] + [{"id": "x", "word": "well"}]
    upload = {"data_connection_uuid": connection, "primary_key": "id", "max_rejected": rows}
    guards = {"max_changed_share": None}
    run(OptixUploadOperator(task_id="well", source=source[-1:], **upload))  # so that a refusal is about rows
    first = run(OptixUploadOperator(task_id="upload", source=source, guards=guards, **upload))
    assert first["rejected"] == rows
    assert main(["replay", "--output", "json", first["report"].removesuffix(".json") + ".rejected.jsonl"]) == 1
    account = printed(capfd)
    assert (account["rows"], account["accepted"], account["rejected"]) == (rows, 0, rows)
    assert account["visibility"] == "not visible"
    with open(account["rejected_file"].removeprefix("file://")) as lines:
        assert len(list(lines)) == rows
    assert words(emulator, connection) == {"x": "well"}


def test_a_dry_run_sends_nothing(emulator, connection, rejected, capfd):
    edit(rejected, '"word":"poison"', '"word":"mended"')
    before = len(emulator.state.requests)
    assert main(["replay", "--output", "json", rejected, "--dry-run"]) == 0
    account = printed(capfd)
    assert (account["state"], account["new"]) == ("planned", 2)
    assert len(emulator.state.requests) == before


def test_newer_values_are_not_overwritten(emulator, connection, rejected, capfd):
    run(
        OptixUploadOperator(
            task_id="newer", data_connection_uuid=connection, primary_key="id", source=[{"id": 2, "word": "newer"}]
        )
    )
    edit(rejected, '"word":"poison"', '"word":"mended"')
    assert main(["replay", "--output", "json", rejected]) == 0
    account = printed(capfd)
    assert (account["accepted"], account["stale"]) == (1, 1)
    assert words(emulator, connection)["2"] == "newer"


def test_requests_to_find_refused_rows_are_bounded_as_in_a_load(emulator, connection, rejected, capfd):
    assert (
        main(
            [
                "replay",
                "--output",
                "json",
                rejected,
                "--sending",
                "max_bisect_requests=0",
                "--sending",
                "max_in_flight=1",
            ]
        )
        == 2
    )
    assert "0 requests (max_bisect_requests) were not enough" in capfd.readouterr().err


def test_a_guard_stops_a_replay_too(emulator, connection, capfd):
    many = [{"id": number, "word": "well"} for number in range(30)]
    upload = {"data_connection_uuid": connection, "primary_key": "id"}
    run(OptixUploadOperator(task_id="all", source=many, **upload))
    emulator.state.switches = Switches(poison="poison")
    result = run(OptixUploadOperator(task_id="one", source=ROWS[:3], max_rejected=1, **upload))
    rejected = result["report"].removesuffix(".json") + ".rejected.jsonl"
    edit(rejected, '"word":"poison"', '"word":"mended"')
    assert main(["replay", "--output", "json", rejected, "--guards", "max_changed_share=0"]) == 2
    assert "max_changed_share=0.0" in capfd.readouterr().err
    assert main(["replay", "--output", "json", rejected, "--guards", "max_changed_share=off"]) == 0
    assert words(emulator, connection)["2"] == "mended"


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        (("--guards", "max_changed_share=2"), "guards.max_changed_share='2': expected a share"),
        (("--guards", "max_change=1"), "guards.max_change='1': unknown; expected some of allow_empty"),
        (("--sending", "max_in_flight"), "'max_in_flight': expected NAME=VALUE"),
    ],
)
def test_options_that_make_no_sense_are_named(emulator, rejected, option, complaint, capfd):
    assert main(["replay", "--output", "json", rejected, *option]) == 2
    assert complaint in capfd.readouterr().err


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ("rows.csv", "is no file of rejected rows"),
        ("/no/such/load.rejected.jsonl", "is not there"),
    ],
)
def test_another_file_is_refused(emulator, file, complaint, capfd):
    assert main(["replay", "--output", "json", file]) == 2
    assert complaint in capfd.readouterr().err


def test_another_host_is_refused(emulator, rejected, change_connection, capfd):
    change_connection("optix_default", host="http://elsewhere.test")
    assert main(["replay", "--output", "json", rejected]) == 2
    assert "name the connection that the load used" in capfd.readouterr().err


def test_the_folders_of_a_load_are_gone_after_it(emulator, rejected):
    (load_id,) = staging().names("loads")
    assert staging().names(f"loads/{load_id}") == ["load.json"]


# A rejected file as a source


def test_mended_rows_of_monday_do_not_replace_those_of_tuesday(emulator, connection, rejected):
    where = {"data_connection_uuid": connection, "primary_key": "id"}
    run(OptixUploadOperator(task_id="tuesday", source=[{"id": 2, "word": "tuesday"}], **where))
    edit(rejected, '"word":"poison"', '"word":"monday"')
    result = run(OptixUploadOperator(task_id="again", source=rejected, **where))
    assert (result["accepted"], result["stale"]) == (1, 1)
    assert (words(emulator, connection)["2"], words(emulator, connection)["4"]) == ("tuesday", "monday")


def test_it_is_known_by_its_lines_whatever_it_is_called(emulator, connection, rejected, tmp_path, capfd):
    where = {"data_connection_uuid": connection, "primary_key": "id"}
    run(OptixUploadOperator(task_id="tuesday", source=[{"id": 2, "word": "tuesday"}], **where))
    edit(rejected, '"word":"poison"', '"word":"monday"')
    moved = tmp_path / "mended.jsonl"
    moved.write_bytes(Path(rejected.removeprefix("file://")).read_bytes())
    result = run(OptixUploadOperator(task_id="again", source=str(moved), **where))
    assert (result["accepted"], result["stale"]) == (1, 1)
    assert main(["replay", "--output", "json", str(moved)]) == 0


def test_each_line_says_of_which_load_it_is_and_how_old(rejected):
    lines = [json.loads(line) for line in Path(rejected.removeprefix("file://")).read_text().splitlines()]
    (load,) = {line["load"] for line in lines}
    assert load in rejected
    for name in ("generation", "opened"):
        (when,) = {datetime.fromisoformat(line[name]) for line in lines}
        assert when.tzinfo


@pytest.mark.parametrize("mixed", ["two files", "one file"])
def test_mixed_with_other_rows_it_is_refused(emulator, connection, rejected, tmp_path, mixed):
    other = tmp_path / "other.jsonl"
    other.write_text('{"id": 9, "word": "well"}\n')
    source = [rejected, str(other)]
    if mixed == "one file":
        with open(other, "ab") as file:
            file.write(Path(rejected.removeprefix("file://")).read_bytes())
        source = str(other)
    with pytest.raises(AirflowFailException, match="alone"):
        run(OptixUploadOperator(task_id="x", data_connection_uuid=connection, primary_key="id", source=source))


def test_a_replay_of_which_nothing_is_new_enough_says_so(emulator, connection, rejected, capfd):
    newer = [{"id": key, "word": "tuesday"} for key in (2, 4)]
    run(OptixUploadOperator(task_id="t", data_connection_uuid=connection, primary_key="id", source=newer))
    edit(rejected, '"word":"poison"', '"word":"monday"')
    assert main(["replay", "--output", "json", rejected]) == 1
    assert "2 of 2 rows are stale" in capfd.readouterr().err


def test_a_replay_is_not_stopped_by_a_guard_that_its_load_has_passed(emulator, connection):
    emulator.state.switches = Switches(poison="poison")
    upload = {"data_connection_uuid": connection, "primary_key": "id", "mode": "changed"}
    guards = {"max_changed_share": None}
    old = [{"id": number, "word": "old"} for number in range(35)]
    run(OptixUploadOperator(task_id="one", source=old, guards=guards, **upload))
    bad = [{"id": number, "word": "poison" if number < 25 else "new"} for number in range(35)]
    result = run(OptixUploadOperator(task_id="two", source=bad, guards=guards, max_rejected=30, **upload))
    file = result["report"].removesuffix(".json") + ".rejected.jsonl"
    edit(file, '"word":"poison"', '"word":"mended"')
    assert main(["replay", "--output", "json", file]) == 0


def test_what_was_refused_for_a_null_is_refused_again_unless_it_is_mended(emulator, connection, capfd):
    upload = {"data_connection_uuid": connection, "primary_key": "id", "nulls": "refuse", "max_rejected": 2}
    result = run(OptixUploadOperator(task_id="x", source=[{"id": 1, "word": None}, {"id": 2, "word": "a"}], **upload))
    assert (result["accepted"], result["rejected"]) == (1, 1)
    file = result["report"].removesuffix(".json") + ".rejected.jsonl"
    assert main(["replay", "--output", "json", file]) == 1
    account = printed(capfd)
    assert (account["accepted"], account["rejected"]) == (0, 1)
    edit(file, '"word":null', '"word":"mended"')
    assert main(["replay", "--output", "json", file]) == 0
    assert words(emulator, connection) == {"1": "mended", "2": "a"}


@pytest.mark.parametrize("report", [None, "", '{"load_id": "x', "[]"])
@pytest.mark.parametrize("named", ["as it was", "otherwise"])
def test_where_the_report_of_the_load_is_gone_it_says_what_else_can_be_done(rejected, tmp_path, capfd, report, named):
    file = Path(rejected.removeprefix("file://"))
    path = file.with_name(file.name.replace(".rejected.jsonl", ".json"))
    path.unlink() if report is None else path.write_text(report)
    if named == "otherwise":
        file = file.rename(tmp_path / "mended.jsonl")
    assert main(["replay", "--output", "json", str(file)]) == 2
    told = capfd.readouterr().err
    assert f"the report of its load, file://{path}, is not there, or is damaged" in told
    assert "Load the file as source= of a task" in told


def test_a_report_that_does_not_tell_the_target_is_no_traceback(rejected, capfd):
    path = Path(rejected.removeprefix("file://").replace(".rejected.jsonl", ".json"))
    path.write_text('{"replay": {"generation": "2026-11-01T00:00:00+00:00"}}')
    assert main(["replay", "--output", "json", rejected]) == 2
    assert "does not tell where its rows went" in capfd.readouterr().err


def test_a_connection_that_is_not_there_is_named(rejected, capfd):
    assert main(["replay", "--output", "json", rejected, "--optix-conn-id", "nowhere"]) == 2
    assert "connection 'nowhere' is not there: make it in Airflow" in capfd.readouterr().err


def test_a_file_that_a_spreadsheet_has_saved_is_not_taken_for_rows_of_now(emulator, connection, rejected, capfd):
    edit(rejected, "+00:00", "")
    assert main(["replay", "--output", "json", rejected]) == 2
    assert "has a damaged marker" in capfd.readouterr().err
    with pytest.raises(AirflowFailException, match="has a damaged marker"):
        run(OptixUploadOperator(task_id="u", data_connection_uuid=connection, primary_key="id", source=rejected))
