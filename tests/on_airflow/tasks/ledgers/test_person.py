"""One person's data: keys that are suppressed, made to expire and forgotten, by operator and by command."""

import json
import re

import pytest

from optimove_provider.cli import main
from optimove_provider.contract.wire.errors import DataError
from optimove_provider.emulator.model.faults import Fault
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.hooks.optix import OptixHook
from optimove_provider.loads.ledger.lease import acquired
from optimove_provider.loads.ledger.ledger import ledger_of
from optimove_provider.loads.owed.by_hand import owed_rows
from optimove_provider.loads.report.visibility import of_load
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.journal import Journal
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from optimove_provider.operators.optix_expire import OptixExpireOperator
from optimove_provider.tasks.staging import staging
from tests.support.ledgers import freeze
from tests.support.running import run

pytestmark = pytest.mark.any_version

KEY = "C-10442"
EMAIL = "somebody@example.com"
ROWS = [{"id": KEY, "email": EMAIL}, {"id": "C-2", "email": "other@example.com"}]


@pytest.fixture
def connection(emulator):
    return OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})


def upload(connection, rows=ROWS, **settings):
    wanted = {"data_connection_uuid": connection, "primary_key": "id", "source": rows, "mode": "changed", **settings}
    return run(OptixUploadOperator(task_id="upload", **wanted))


def expire(connection, **settings):
    wanted = {"data_connection_uuid": connection, "primary_key": "id", **settings}
    return run(OptixExpireOperator(task_id="expire", **wanted))


def command(capfd, *arguments):
    """The exit code, and what was printed and told."""
    capfd.readouterr()
    code = main([*arguments])
    told = capfd.readouterr()
    return code, told.out, told.err


def ledger(connection):
    with OptixHook().get_conn() as client:
        return ledger_of(staging(), "optix", client.settings.host, connection)


def files_with(*words):
    """The files of staging in which one of the words stands, Parquet files too."""
    place = staging()
    found = []
    for path in place.fs.find(place.root):
        body = place.fs.cat_file(path)
        if any(word.encode() in body for word in words):
            found.append(path.removeprefix(place.root))
    return found


def test_a_list_is_kept_by_command(emulator, connection, capfd):
    upload(connection)
    code, out, _ = command(capfd, "suppressions", "list", connection)
    assert (code, out.split()[:5]) == (0, ["No", "such", "key", "is", "suppressed"])
    code, out, _ = command(capfd, "suppressions", "add", connection, KEY, "C-3")
    assert (code, "2 keys are suppressed from now on, 0 were before" in out) == (0, True)
    code, out, _ = command(capfd, "suppressions", "list", connection, "--output", "json")
    told = json.loads(out)
    assert (code, len(told), {one["by"] for one in told}) == (0, 2, {"a person, by command"})
    assert all(re.fullmatch(r"hmac-sha256:[0-9a-f]{64}", one["digest"]) for one in told)
    assert KEY not in out
    assert command(capfd, "suppressions", "list", connection, "--key", KEY)[0] == 0
    assert command(capfd, "suppressions", "list", connection, "--key", "C-2")[0] == 1
    result = upload(connection, [{"id": KEY, "email": "new"}, {"id": "C-2", "email": "new"}])
    assert (result["accepted"], result["suppressed"]) == (1, 1)
    assert command(capfd, "suppressions", "remove", connection, KEY, "never")[:2] == (
        0,
        "1 key is suppressed no more: the next load that has one sends it\n",
    )
    assert upload(connection)["suppressed"] == 0


def test_a_whole_ledger_that_is_forgotten_keeps_its_list(emulator, connection, capfd):
    upload(connection)
    command(capfd, "suppressions", "add", connection, KEY)
    assert command(capfd, "ledger", "forget", connection, "--yes")[0] == 0
    assert command(capfd, "suppressions", "list", connection, "--key", KEY)[0] == 0
    assert upload(connection)["suppressed"] == 1


@pytest.mark.parametrize(
    "named",
    [
        {"keys": [KEY]},
        {"keys": KEY},
        {"keys": f'{{{{ ["{KEY}"] | tojson }}}}'},
        {"source": [{"id": KEY, "why": "asked"}]},
        {"sql": f"SELECT '{KEY}' AS id, 'asked' AS why", "sql_conn_id": "warehouse_default"},
    ],
)
def test_keys_are_named_in_several_ways(emulator, connection, named):
    result = expire(connection, **named)
    assert (result["state"], result["rows"], result["accepted"]) == ("committed", 1, 1)
    sent = [one for one in emulator.state.requests if one["endpoint"] == "upload_data"]
    assert (len(sent), sent[0]["records"], sent[0]["batch_completed"]) == (1, 1, True)


def test_no_keys_today_are_nothing_to_do(emulator, connection):
    assert expire(connection, keys=[])["state"] == "nothing_to_send"


def forgotten(capfd, *arguments):
    code, out, _ = command(capfd, "forget", *arguments, "--yes")
    assert code == 0
    return out


def test_a_person_is_forgotten_in_all_of_staging_and_no_load_brings_them_back(emulator, connection, capfd):
    emulator.state.switches = Switches(poison="poison")
    upload(connection)
    rejected = [{"id": KEY, "email": f"poison {EMAIL}"}, {"id": "C-9", "email": "fine"}]
    emulator.state.faults.order(Fault("upload_data", skip=1, status=422, body=f"no mail to {EMAIL}"))
    upload(connection, rejected, max_rejected=1, source_is="delta")
    upload(connection, [{"id": KEY, "email": f"changed {EMAIL}"}, ROWS[1]], dry_run=True)
    expired = expire(connection, keys=[KEY])
    emulator.state.switches = Switches()
    assert len(files_with(KEY, EMAIL)) > 5
    code, out, _ = command(capfd, "forget", KEY, "--dry-run")
    assert code == 0
    assert re.search(r"[1-9] layers? ha\w+ it", out)
    assert len(files_with(KEY, EMAIL)) > 5
    out = forgotten(capfd, KEY)
    assert files_with(KEY, EMAIL) == []
    assert re.search(r"[1-9] layers? w\w+ written again without the key", out)
    assert "its digest is on the suppression list now" in out
    assert "the story of load" in out
    assert ".rejected.jsonl, 1 of its lines" in out
    assert "reports/" in out
    with open(expired["report"].removeprefix("file://").replace(".json", ".expired.jsonl")) as proof:
        (line,) = map(json.loads, proof)
    assert (line["key"], line["outcome"], line["batch_uuid"] != "") == (None, "expired", True)
    code, listed, _ = command(capfd, "suppressions", "list", connection, "--output", "json")
    assert [one["digest"] for one in json.loads(listed)] == [line["digest"]]
    result = upload(connection, mode="full")
    assert (result["accepted"], result["suppressed"], result["unsent"]) == (1, 1, 0)
    assert files_with(KEY, EMAIL) == []
    assert ledger(connection).read().rows >= 1


def test_of_one_target_only(emulator, connection, capfd):
    other = OptixCreateConnectionOperator(task_id="other", name="Others", primary_key="id").execute({})
    for one in (connection, other):
        upload(one)
        upload(one, [{"id": KEY, "email": "two"}, ROWS[1]], dry_run=True)
    out = forgotten(capfd, KEY, connection)
    assert (connection in out, other in out) == (True, False)
    assert upload(connection)["suppressed"] == 1
    assert upload(other)["suppressed"] == 0
    assert any("layers" in path for path in files_with(KEY))


def test_it_is_refused_while_an_intent_has_the_key_and_names_the_load(emulator, connection, capfd):
    upload(connection)
    target = ledger(connection)
    folder = freeze(staging(), {KEY: 1}, "loads/6f0f5d3a-0000-4000-8000-00000000dead/spool-1")
    load_id = "6f0f5d3a-0000-4000-8000-00000000dead"
    now = staging().surroundings.now()
    with acquired(target.manifest_file, load_id, 1) as lease:
        target.write_intent(lease, target.read().version, Age.of(now), folder)
    code, _, err = command(capfd, "forget", KEY, "--yes")
    assert (code, load_id in err, "Nothing was forgotten" in err) == (2, True, True)
    assert any("layers" in path for path in files_with(KEY))
    with acquired(target.manifest_file, load_id, 1) as lease:
        code, _, err = command(capfd, "forget", KEY, "--yes")
    assert (code, "another load works on this target" in err) == (2, True)


def test_a_load_that_never_ended_loses_its_rows_and_is_not_taken_up_again(emulator, connection, capfd):
    upload(connection)
    sent, unsent = (f"6f0f5d3a-0000-4000-8000-00000000{end}" for end in ("aaaa", "bbbb"))
    for load_id in (sent, unsent):
        journal = Journal(staging(), load_id)
        folder = journal.begin_reading()
        freeze(staging(), {KEY: 1}, folder)
        journal.rows_read({"folder": folder})
    Journal(staging(), sent).begin_batch()
    out = forgotten(capfd, KEY)
    assert f"all frozen rows of load {sent}, which did not end" in out
    assert files_with(KEY) == []
    with pytest.raises(DataError, match="a key in them was forgotten: clear the task"):
        Journal(staging(), sent)
    assert Journal(staging(), unsent).result is None
    assert of_load(staging(), sent, "changed") == "not known"


def test_rows_that_are_owed_are_forgotten_too(emulator, connection, capfd):
    emulator.state.switches = Switches(poison="poison")
    refused = [
        {"id": KEY, "email": f"poison {EMAIL}"},
        {"id": "C-7", "email": "poison"},
        {"id": "C-9", "email": "fine"},
    ]
    upload(connection, refused, max_rejected=2, source_is="delta", resend_rejected=True)
    assert ledger(connection).read().owed.rows == 2
    out = forgotten(capfd, KEY)
    assert "1 owed row of it" in out
    assert files_with(KEY, EMAIL) == []
    assert [one["key"] for one in owed_rows(staging(), ledger(connection).read())] == ["C-7"]


def test_it_is_refused_too_while_an_owed_row_of_the_key_may_have_been_sent_again(emulator, connection, capfd):
    upload(connection)
    target, load_id = ledger(connection), "6f0f5d3a-0000-4000-8000-00000000dead"
    others = freeze(staging(), {"C-5": 1}, f"loads/{load_id}/spool-1")
    owed = freeze(staging(), {KEY: 1}, f"loads/{load_id}/plan-1/owed")
    with acquired(target.manifest_file, load_id, 1) as lease:
        age = Age.of(staging().surroundings.now())
        target.write_intent(lease, target.read().version, age, others, owed=owed)
    code, _, err = command(capfd, "forget", KEY, "--yes")
    assert (code, load_id in err, "Nothing was forgotten" in err) == (2, True, True)
