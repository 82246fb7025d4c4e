"""Ledgers that a person moves, backs up and makes again by the command."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from optimove_provider.cli import main
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.hooks.optix import OptixHook
from optimove_provider.loads.ledger.lease import acquire
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.places import folder_of, folder_under
from optimove_provider.loads.suppression import suppression_list
from optimove_provider.loads.transfer import move as moving
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from optimove_provider.tasks.staging import staging, staging_at
from tests.support.ledgers import ledger_rows
from tests.support.running import run

pytestmark = pytest.mark.any_version

ROWS = [{"id": number, "word": "well"} for number in range(1, 4)]
NEW_HOST = "http://localhost:1/api/data-connections/v1"


@pytest.fixture
def uuid(emulator):
    return OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})


@pytest.fixture
def ledger(uuid):
    """The ledger of a data connection after two loads, the second of a later window."""
    assert upload(uuid)["accepted"] == 3
    return Ledger(staging(), folder_under(uuid, host()))


def host():
    with OptixHook().get_conn() as client:
        return client.settings.host


def upload(uuid, rows=ROWS, **settings):
    wanted = {"data_connection_uuid": uuid, "primary_key": "id", "source": rows, "mode": "changed", **settings}
    return run(OptixUploadOperator(task_id="upload", **wanted))


def command(capfd, *arguments):
    """The exit code, and what was printed and told."""
    capfd.readouterr()
    code = main(["ledger", *arguments])
    told = capfd.readouterr()
    return code, told.out, told.err


def visible(emulator, uuid):
    found = emulator.state.connections[uuid].visible(emulator.state.clock() + 2)
    return {int(key): record.data["word"] for key, record in found.items()}


def earlier(days):
    """A window before now."""
    end = datetime.now(UTC) - timedelta(days=days)
    return {"start": (end - timedelta(days=1)).isoformat(), "end": end.isoformat()}


def test_what_is_owed_moves_too_and_is_in_no_backup(emulator, uuid, ledger, tmp_path, capfd):
    """Of a backup nobody knows what newer words on its keys came since."""
    emulator.state.switches = Switches(poison="poison")
    owing = {"source_is": "delta", "resend_rejected": True, "max_rejected": 1}
    upload(uuid, [{"id": 9, "word": "poison"}, {"id": 8, "word": "well"}], **owing)
    assert command(capfd, "backup", uuid, "--to", str(tmp_path / "kept"))[0] == 0
    assert command(capfd, "move", uuid, "--to-host", NEW_HOST, "--yes")[0] == 0
    assert staging().names(ledger.owed_folder) == []
    code, out, _ = command(capfd, "owed", uuid, "--output", "json")
    assert (code, '"tries": 0' in out) == (0, True)
    assert command(capfd, "move", uuid, "--to-host", host(), "--yes")[0] == 0
    emulator.state.switches = Switches()
    assert upload(uuid, [{"id": 7, "word": "well"}], **owing)["owed"]["accepted"] == 1
    assert visible(emulator, uuid)[9] == "poison"
    assert command(capfd, "forget", uuid, "--yes")[0] == 0
    assert command(capfd, "rebuild", uuid, "--from-backup", str(tmp_path / "kept"), "--yes")[0] == 0
    assert command(capfd, "owed", uuid, "--output", "json")[1].strip().endswith("[]")


def test_a_ledger_moves_to_another_host_and_loads_go_on_there(emulator, uuid, ledger, capfd, monkeypatch):
    before, rows = ledger.read(), ledger_rows(ledger)
    code, out, err = command(capfd, "move", uuid, "--to-host", NEW_HOST, "--yes")
    assert (code, out.startswith(f"moved to {NEW_HOST}"), "send every row" in err) == (0, True, True)
    moved = Ledger(staging(), folder_under(uuid, NEW_HOST))
    assert ledger_rows(moved) == rows
    assert moved.read().newest_snapshot == before.newest_snapshot
    assert moved.read().version > before.version
    assert (ledger.read().layers, staging().names(ledger.layers.folder)) == ((), [])
    code, out, _ = command(capfd, "list", "--output", "json")
    assert (code, out.count(uuid), NEW_HOST in out) == (0, 1, True)
    code, _, err = command(capfd, "move", uuid, "--to-host", host(), "--yes")
    assert (code, upload(uuid)["unchanged"]) == (0, 3)


def test_a_ledger_moves_to_another_staging(emulator, uuid, ledger, capfd, tmp_path, monkeypatch):
    assert command(capfd, "move", uuid, "--to-staging", f"{tmp_path}/new", "--yes")[0] == 0
    assert ledger.read().layers == ()
    monkeypatch.setenv("AIRFLOW__OPTIMOVE__STAGING", f"{tmp_path}/new")
    assert upload(uuid)["unchanged"] == 3


def dies(*_):
    raise KeyboardInterrupt


def test_a_move_that_died_before_the_old_ledger_was_emptied_is_gone_on_with(emulator, uuid, ledger, capfd, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(moving, "empty", dies)
        assert command(capfd, "move", uuid, "--to-host", NEW_HOST, "--yes")[0] not in (0, 1, 2)
    for here in (NEW_HOST, host()):  # meanwhile no load goes on with either
        with pytest.raises(SettingsError, match="has a ledger for"):
            folder_of(staging(), "optix", here, uuid)
    code, out, _ = command(capfd, "move", uuid, "--host", host(), "--to-host", NEW_HOST, "--yes")
    assert (code, out.startswith("moved to")) == (0, True)
    assert (ledger.read().layers, len(ledger_rows(Ledger(staging(), folder_under(uuid, NEW_HOST))))) == ((), 3)


def test_what_is_not_moved(emulator, uuid, ledger, capfd, tmp_path):
    lease = acquire(ledger.manifest_file, "load-1", 1, "dag nightly, task upload")
    code, _, err = command(capfd, "move", uuid, "--to-host", NEW_HOST, "--yes")
    assert (code, "another load works on this target: dag nightly" in err) == (2, True)
    ledger.write_intent(lease, ledger.read().version, ledger.read().layers[0].origin.age, "loads/load-1/spool")
    lease.release()
    code, _, err = command(capfd, "move", uuid, "--to-host", NEW_HOST, "--yes")
    assert (code, "may have sent rows that are not entered yet: load-1" in err) == (2, True)
    lease = acquire(ledger.manifest_file, "load-1", 1)
    ledger.withdraw_intent(lease)
    lease.release()
    for arguments, said in (
        ((), "either --to-host URL or --to-staging URL"),
        (("--to-host", NEW_HOST, "--to-staging", f"{tmp_path}/new"), "either --to-host URL or --to-staging URL"),
        (("--to-host", host()), "has its ledger there already"),
        (("--to-staging", "nowhere://x"), "'nowhere://x' cannot be opened"),
    ):
        code, _, err = command(capfd, "move", uuid, *arguments, "--yes")
        assert (code, said in err) == (2, True), err
    assert command(capfd, "move", uuid, "--to-staging", f"{tmp_path}/new", "--yes")[0] == 0
    assert upload(uuid)["accepted"] == 3  # whoever still loads here finds none
    code, _, err = command(capfd, "move", uuid, "--to-staging", f"{tmp_path}/new", "--yes")
    assert (code, "is a ledger already, of 3 rows" in err) == (2, True)


def lose(ledger):
    """As with the disk: nothing of ledgers or targets is left."""
    place = ledger.staging
    place.remove_folder("ledgers")
    place.remove_folder("targets")


def test_a_lost_ledger_is_made_again_of_a_backup_and_says_nothing_false(emulator, uuid, ledger, capfd, tmp_path):
    to = f"{tmp_path}/backup"
    code, out, _ = command(capfd, "backup", "--to", to)
    assert (code, "3 rows" in out) == (0, True)
    code, out, _ = command(capfd, "backup", uuid, "--to", to)  # in the place of the one before
    kept = Ledger(staging_at(to), ledger.manifest_file.folder.removeprefix("ledgers/"))
    assert (code, len(kept.read().layers), len(kept.staging.names(kept.layers.folder))) == (0, 1, 1)
    changed = [{"id": 1, "word": "newer"}, *ROWS[1:]]
    assert upload(uuid, changed)["accepted"] == 1
    code, _, err = command(capfd, "rebuild", uuid, "--from-backup", to, "--yes")
    assert (code, "is a ledger already" in err) == (2, True)
    lose(ledger)
    code, out, err = command(capfd, "rebuild", uuid, "--from-backup", to, "--yes")
    assert (code, "made again: 3 rows, all of them unknown" in out) == (0, True)
    assert upload(uuid, ROWS, window=earlier(1))["stale"] == 3  # which the target has newer
    assert upload(uuid, ROWS[:2])["accepted"] == 2  # row 1 is what the backup says, and not what the target had
    assert visible(emulator, uuid) == {1: "well", 2: "well", 3: "well"}
    gone = upload(uuid, ROWS[:2], on_removed="expire", guards={"max_removed_share": None})
    assert (gone["unchanged"], visible(emulator, uuid)) == (2, {1: "well", 2: "well"})


def test_a_lost_ledger_is_made_again_of_a_file(emulator, uuid, ledger, capfd, tmp_path):
    file = tmp_path / "sent.csv"
    file.write_text("id\n1\n2\n3\n")
    made = ("rebuild", uuid, "--from", str(file), "--primary-key", "id", "--yes", "--as-of")
    code, _, err = command(capfd, *made, "2026-01-01T00:00:00+00:00")
    assert (code, "is a ledger already" in err) == (2, True)
    lose(ledger)
    for as_of, said in (
        ("2026-01-01", "expected an instant with its offset"),
        ("yesterday", "expected an instant with its offset"),
        ("9999-01-01T00:00:00+00:00", "is still to come"),
    ):
        code, _, err = command(capfd, *made, as_of)
        assert (code, said in err) == (2, True), err
    as_of = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    file.write_text("id\n1\n2\n2\n")
    code, _, err = command(capfd, *made, as_of)
    assert (code, "keys twice" in err) == (2, True)
    file.write_text('id\n1\n2\n""\n')
    code, _, err = command(capfd, *made, as_of)
    assert (code, "1 row of 3 cannot be entered" in err) == (2, True), err
    file.write_text("id\n1\n2\n3\n")
    code, out, _ = command(capfd, *made, as_of)
    assert (code, out.startswith("made: 3 records of")) == (0, True)
    assert not [name for name in staging().names("loads") if Path(f"{staging().root}/loads/{name}/spool").exists()]
    assert upload(uuid, ROWS, window=earlier(1))["stale"] == 3
    result = upload(uuid, ROWS[:2], on_removed="expire", guards={"max_removed_share": None})
    assert (result["accepted"], visible(emulator, uuid)) == (2, {1: "well", 2: "well"})


def suppress(ledger, *keys):
    lease = acquire(ledger.manifest_file, "load-1", 1)
    assert suppression_list.add(ledger, lease, keys, "a test") == len(keys)
    lease.release()


def test_who_is_kept_out_stays_kept_out(emulator, uuid, ledger, capfd, tmp_path):
    """By a move, by a backup that is all that is left, and by one beside a list that is newer."""
    suppress(ledger, "1")
    rows = [{"id": number, "word": "again"} for number in (1, 2)]
    assert command(capfd, "move", uuid, "--to-host", NEW_HOST, "--yes")[0] == 0
    assert Ledger(staging(), folder_under(uuid, NEW_HOST)).read().suppressed.keys == 1
    assert command(capfd, "move", uuid, "--to-host", host(), "--yes")[0] == 0
    assert command(capfd, "backup", "--to", f"{tmp_path}/backup")[0] == 0
    suppress(ledger, "2")
    assert command(capfd, "forget", uuid, "--yes")[0] == 0
    assert command(capfd, "rebuild", uuid, "--from-backup", f"{tmp_path}/backup", "--yes")[0] == 0
    assert upload(uuid, rows, source_is="delta")["suppressed"] == 2
    lose(ledger)
    assert command(capfd, "rebuild", uuid, "--from-backup", f"{tmp_path}/backup", "--yes")[0] == 0
    assert upload(uuid, rows, source_is="delta")["suppressed"] == 1
    lose(ledger)
    other = Ledger(staging(), ledger.manifest_file.folder.removeprefix("ledgers/"))
    suppress(other, "3")
    code, _, err = command(capfd, "rebuild", uuid, "--from-backup", f"{tmp_path}/backup", "--yes")
    assert (code, "has a suppression list of its own, of 1 key" in err) == (2, True)


def test_a_list_of_its_own_is_not_lost_by_a_move(emulator, uuid, ledger, capfd):
    suppress(ledger, "1")
    suppress(Ledger(staging(), folder_under(uuid, NEW_HOST)), "2")
    code, _, err = command(capfd, "move", uuid, "--to-host", NEW_HOST, "--yes")
    assert (code, "has a suppression list of its own, of 1 key" in err) == (2, True)


def test_what_is_not_made_again(emulator, uuid, capfd, tmp_path):
    for arguments, said in (
        ((uuid,), "either --from-backup URL or --from FILE"),
        ((uuid, "--from", "a.csv"), "--from needs --primary-key COLUMN"),
        ((uuid, "--from-backup", f"{tmp_path}/none"), "has a backup in"),
        (("12", "--from", "a.csv", "--primary-key", "id", "--as-of", "2026-01-01T00:00:00+00:00"), "table 12: only"),
    ):
        code, _, err = command(capfd, "rebuild", *arguments, "--yes")
        assert (code, said in err) == (2, True), err
    code, out, _ = command(capfd, "backup", "--to", f"{tmp_path}/all")
    assert (code, out) == (0, "no target has a ledger yet\n")
    code, _, err = command(capfd, "backup", "--to", staging().root)
    assert (code, "is [optimove] staging itself" in err) == (2, True)
