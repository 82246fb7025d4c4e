"""The whole state of an emulator as lines."""

import json

import pytest

from optimove_provider.contract.wire.messages import Request, json_body
from optimove_provider.emulator import MemoryObjects, State, send
from optimove_provider.emulator.kept.lines import NOT_KEPT, Unreadable, read_into, written

BATCH = "7f4cdd7e-5a80-4b62-a6b3-12a8a5a12c59"
# As version 1 wrote it: it stays readable.
OLD = """\
{"what": "optimove_provider.emulator", "version": 1}
{"ids": ["0b5c3a0e-2f4e-5d0b-9d7a-0c6f0f3c4c11", 3, 3000000021]}
{"switches": {"poison": "bad"}}
{"connection": {"data_connection_uuid": "u", "name": "n", "primary_key": "id", \
"records": {"1": {"key": "1", "data": {"id": 1}}}}}
{"service": {"id": 5, "name": "s", "credentials": {"access_key": "A", "secret_key": "S"}, "created": "2026"}}
{"table": {"id": 6, "service_id": 5, "name": "t", "keyfield_locator_type": "cookie", "keyfield_locator_name": "c", \
"description": null, "created": "2026", "profiles": {"1": {"x": true}}}}
{"project": {"id": 7, "name": "p"}}
{"request": {"method": "GET"}}
{"end": 7}
"""


@pytest.fixture
def full(ask, state, objects, connection, table):
    """A state with something of every kind in it."""
    ask.json("PUT", "/_emulator/switches", {"visible_after_seconds": 5, "poison": "bad", "profile_lag_seconds": 9})
    assert ask("POST", f"{connection}/upload_data", body=b'{"data": [{"id": 1, "x": "\\ud800"}], "ttl": 60}').ok
    ask.json(
        "POST", f"{connection}/upload_data", {"data": [{"id": "a"}], "batch_uuid": BATCH, "batch_completed": False}
    )
    objects.put(f"{table['s3_path']}/done.csv", b"customerId,vip\n1,true\n")
    assert ask.json("GET", f"/_emulator/uploads/{table['id']}")[0]["status"] == "completed"
    ask.json("PUT", "/_emulator/switches", {"import_after_seconds": 30})
    objects.put(f"{table['s3_path']}/waiting.csv", b"customerId,vip\n2,false\n")
    ask.json("POST", "/_emulator/faults", [{"status": 503, "every": 2}, {"import": "x"}, {"lost": "after", "times": 9}])
    state.violations.append("something")
    return state


def read(lines, clock=None):
    state = State(**({"clock": clock} if clock else {}), objects=MemoryObjects())
    read_into(state, lines)
    return state


def test_a_state_that_was_written_and_read_is_the_same_and_goes_on_alike(full, clock, caller, keys, connection):
    lines = list(written(full))
    again = read(lines, clock)
    assert list(written(again)) == lines
    clock.now += 30
    shown = [caller(one).control("state") for one in (full, again)]
    assert shown[0] == shown[1]
    assert shown[0]["tables"][-1]["profiles"] == {"1": {"vip": True}}
    clock.now += 10
    answers = []
    for one in (full, again):
        ask = caller(one)
        assert ask.control("state")["tables"][-1]["profiles"]["2"] == {"vip": False}
        sent = Request("POST", f"{connection}/upload_data", keys, json_body({"data": [], "batch_uuid": BATCH}))
        answers.append([getattr(send(one, sent), "status", "lost") for _ in range(4)])
    assert answers[0] == answers[1]
    assert set(answers[0]) == {"lost", 503}
    assert full.ids.uuid() == again.ids.uuid()
    assert full.ids.number() == again.ids.number()


def test_a_file_that_nobody_has_asked_for_is_imported_after_a_restart_too(ask, state, objects, table, caller):
    ask.json("PUT", "/_emulator/switches", {"import_after_polls": 1})
    objects.put(f"{table['s3_path']}/new.csv", b"customerId,vip\n1,true\n")
    again = caller(read(list(written(state))))
    assert [again.json("GET", f"/_emulator/uploads/{table['id']}")[0]["status"] for _ in range(2)] == [
        "pending",
        "completed",
    ]


def test_objects_beyond_the_limit_are_not_kept_and_one_that_was_waiting_has_failed(ask, state, objects, table, caller):
    ask.json("PUT", "/_emulator/switches", {"import_after_polls": 9})
    first = objects.put(f"{table['s3_path']}/first.csv", b"x" * 90)
    objects.put(f"{table['s3_path']}/second.csv", b"y" * 20)
    again = read(list(written(state, 100)))
    assert list(again.objects.held()) == [first]
    told = {upload["file"]: (upload["status"], upload["message"]) for upload in caller(again).control("uploads")}
    assert told[f"{table['s3_path']}/second.csv"] == ("failed", NOT_KEPT)
    assert told[first.key][0] == "pending"


def test_what_version_1_wrote_is_read():
    state = read(OLD.splitlines())
    assert state.connections["u"].records["1"].data == {"id": 1}
    assert state.tables[6].service is state.services[5]
    assert state.tables[6].profiles == {"1": {"x": True}}
    assert (state.switches.plain.poison, list(state.projects)) == ("bad", [7])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lines: lines[:-1], "its end is missing"),
        (lambda lines: [*lines[:2], *lines[3:]], "its end is missing"),
        (lambda lines: [], "its end is missing"),
        (lambda lines: [lines[0].replace("1}", "2}"), *lines[1:]], "of version 2, and this emulator reads 1"),
        (lambda lines: lines[1:], "no file of this emulator"),
        (lambda lines: [*lines[:3], lines[3][:40], *lines[4:]], "line 4"),
        (lambda lines: [*lines[:3], "[1]", *lines[4:]], "line 4"),
        (lambda lines: [*lines[:3], "{}", *lines[4:]], "line 4"),
        (lambda lines: [*lines[:2], '{"unheard": 1}', *lines[3:]], "line 3"),
        (lambda lines: [*lines[:4], *lines[5:]], "line 5"),
        (lambda lines: [line.replace('"2026"', "2026") for line in lines], "line 5"),
    ],
)
def test_lines_that_are_no_state_are_refused_with_their_place(change, told):
    with pytest.raises(Unreadable, match=told):
        read(change(OLD.splitlines()))
    json.loads(OLD.splitlines()[0])
