"""Files under a table's S3 path: when they are imported, what of them, and what the history says."""

import io

import pytest

from optimove_provider.contract.cells.datatypes import MAX_IMPORT_BYTES
from optimove_provider.emulator import State, StoredObject


@pytest.fixture
def put(objects, table):
    def put(text, name="file.csv"):
        data = text if isinstance(text, bytes) else text.encode()
        return objects.put(f"{table['s3_path']}/{name}", data).key

    return put


@pytest.fixture
def history(ask, table):
    return lambda: ask.json("GET", f"/_emulator/uploads/{table['id']}")


@pytest.fixture
def profiles(ask, table):
    def profiles():
        (found,) = (shown for shown in ask.control("state")["tables"] if shown["id"] == table["id"])
        return found["profiles"]

    return profiles


@pytest.fixture
def switch(ask):
    return lambda **switches: ask.json("PUT", "/_emulator/switches", switches)


def test_the_vendors_sample_file(put, history, profiles):
    key = put("customerId,most_viewed_category,LTV\n12345,shirts,100\n23456,shoes,500\n34567,pants,800\n")
    (entry,) = history()
    assert entry.pop("created") == "2023-11-14T22:13:20.000000Z"
    assert entry == {"file": key, "status": "completed", "rows_processed": 3, "rows_failed": 0, "message": ""}
    assert profiles() == {
        "12345": {"most_viewed_category": "shirts", "LTV": 100},
        "23456": {"most_viewed_category": "shoes", "LTV": 500},
        "34567": {"most_viewed_category": "pants", "LTV": 800},
    }


def test_the_vendors_sample_row_with_spaces_and_doubled_quotes(put, profiles):
    put('customerId, most_viewed_category\n"CustomerId1", "Height: 6\'1"""\n')
    assert profiles() == {"CustomerId1": {"most_viewed_category": "Height: 6'1\""}}


def test_values_are_stored_by_datatype(put, profiles):
    put("CUSTOMERID,LTV,score,vip,born,seen,since\n1,-2,1,TRUE,2022-05-02,1999-01-01T00:00:00,0\n")
    (profile,) = profiles().values()
    assert profile == {
        "LTV": -2,
        "score": 1.0,
        "vip": True,
        "born": "2022-05-02",
        "seen": "1999-01-01T00:00:00",
        "since": 0,
    }
    assert isinstance(profile["score"], float)
    assert isinstance(profile["LTV"], int)


def test_a_row_is_an_update_of_that_profile(put, profiles):
    put("customerId,LTV,vip\na,1,true\nb,2,true\n", "1.csv")
    put("LTV,customerId\n3,a\n,b\n", "2.csv")
    assert profiles() == {"a": {"LTV": 3, "vip": True}, "b": {"LTV": 2, "vip": True}}


def test_tsv_and_byte_order_mark_and_sub_folders(put, profiles):
    put("customerId\tLTV\na,b\t1\n", "team/file.TSV")
    put("\ufeffcustomerId,LTV\r\n\r\nc,2\r\n", "bom.csv")
    assert profiles() == {"a,b": {"LTV": 1}, "c": {"LTV": 2}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["customerId"]),
        ("LTV\n1\n", ["customerId"]),
        ("customerId,CustomerID\n1,1\n", ["customerId", "once"]),
        ("customerId,ltv\n1,1\n", ["'ltv'", "registered"]),
        ("customerId,LTV,LTV\n1,1,1\n", ["'LTV'", "twice"]),
        ("customerId,LTV\n1,1\n2,foo\n", ["row 2", "'LTV'", "'foo'"]),
        ("customerId,vip\n1,y\n", ["row 1", "'vip'", "'y'"]),
        ("customerId,LTV\n1,1\n,2\n", ["row 2", "'customerId'"]),
        ("customerId,LTV\n1,1\n2\n", ["row 2", "1 cells"]),
        ('customerId,LTV\n1,1\n"2"x,2\n', ["line 3"]),
        (b"customerId,most_viewed_category\n1,\xff\n", ["UTF-8"]),
    ],
)
def test_one_mistake_fails_the_whole_file(put, history, profiles, text, words):
    put(text)
    (entry,) = history()
    assert (entry["status"], entry["rows_processed"]) == ("failed", 0)
    assert [word for word in words if word not in entry["message"]] == []
    assert profiles() == {}


def test_bad_rows_are_counted_and_the_first_is_named(put, history):
    put("customerId,LTV\n1,x\n2,2\n3,y\n")
    (entry,) = history()
    assert entry["rows_failed"] == 2
    assert "row 1" in entry["message"]


def test_good_rows_are_kept_when_the_switch_says_so(switch, put, history, profiles):
    switch(row_failure="row")
    put("customerId,LTV\n1,x\n2,2\n")
    (entry,) = history()
    assert (entry["status"], entry["rows_processed"], entry["rows_failed"]) == ("completed", 1, 1)
    assert profiles() == {"2": {"LTV": 2}}


def test_an_import_takes_as_many_polls_as_the_switch_says(switch, put, history, profiles):
    switch(import_after_polls=3)
    put("customerId,LTV\n1,1\n")
    assert [history()[0]["status"] for _ in range(3)] == ["pending", "processing", "processing"]
    assert profiles() == {"1": {"LTV": 1}}
    assert history()[0]["status"] == "completed"


def test_before_the_last_poll_nothing_is_written(switch, put, history, profiles):
    switch(import_after_polls=2)
    put("customerId,LTV\n1,1\n")
    history()
    assert profiles() == {}


def test_an_import_takes_as_long_as_the_switch_says(clock, switch, put, history):
    switch(import_after_seconds=60)
    put("customerId,LTV\n1,1\n")
    assert history()[0]["status"] == "pending"
    clock.now += 30
    assert history()[0]["status"] == "processing"
    clock.now += 29
    assert history()[0]["status"] == "processing"
    clock.now += 1
    assert history()[0]["status"] == "completed"


def test_other_tables_have_their_own_history(ask, objects, table, put, history):
    (optimizely, _) = ask.control("state")["tables"]
    put("customerId\n1\n")
    objects.put(f"{optimizely['s3_path']}/x.csv", b"customerId\n1\n")
    objects.put(f"{table['s3_path']}0/x.csv", b"customerId\n1\n")
    assert len(history()) == 1
    assert len(ask.control("uploads")) == 2


def test_imports_fail_on_order(ask, put, history, profiles):
    ask.json("POST", "/_emulator/faults", {"import": "second", "message": "broken pipe"})
    for name in ("first.csv", "second.csv", "second.v2.csv"):
        put("customerId\n1\n", name)
    assert [(entry["status"], entry["message"]) for entry in history()] == [
        ("completed", ""),
        ("failed", "broken pipe"),
        ("completed", ""),
    ]


def test_the_same_name_too_early_is_a_violation(ask, switch, put, history, profiles):
    switch(import_after_polls=1)
    key = put("customerId,LTV\n1,1\n")
    put("customerId,LTV\n1,2\n")
    history()
    (violation,) = ask.control("state")["violations"]
    assert key in violation
    assert [entry["file"] for entry in history()] == [key, key]
    assert profiles() == {"1": {"LTV": 2}}


def test_the_same_name_later_is_none(ask, put, history):
    put("customerId,LTV\n1,1\n")
    history()
    put("customerId,LTV\n1,2\n")
    assert len(history()) == 2
    assert ask.control("state")["violations"] == []


def test_a_file_of_ten_gigabytes_is_refused(clock, caller):
    """Only its size is claimed: reading it would fail this test."""

    class Huge:
        def __init__(self):
            self.stored = []

        def list(self):
            return self.stored

        def read(self, found):
            return io.BytesIO(b"customerId\n") if found.size < MAX_IMPORT_BYTES else pytest.fail("it was read")

    huge = Huge()
    ask = caller(State(clock=clock, objects=huge))
    ask.json("POST", "/experiment/v1/dcp_services", {"name": "s"})
    path = ask.control("state")["tables"][0]["s3_path"]
    huge.stored = [StoredObject(f"{path}/{size}.csv", "1", size) for size in (MAX_IMPORT_BYTES - 1, MAX_IMPORT_BYTES)]
    assert [entry["status"] for entry in ask.control("uploads")] == ["completed", "failed"]


def test_the_importer_reads_in_constant_memory(clock, caller):
    """It never asks for more than a buffer's worth at a time."""
    asked = []

    class Endless(io.RawIOBase):
        """A header and 50,000 rows, made while they are read."""

        def __init__(self):
            self.text, self.rows = b"customerId\n", 50_000

        def readable(self):
            return True

        def readinto(self, buffer):
            asked.append(len(buffer))
            while self.rows and len(self.text) < len(buffer):
                self.text, self.rows = self.text + b"same customer\n", self.rows - 1
            piece, self.text = self.text[: len(buffer)], self.text[len(buffer) :]
            buffer[: len(piece)] = piece
            return len(piece)

    class Store:
        def __init__(self):
            self.stored = []

        def list(self):
            return self.stored

        def read(self, found):
            return io.BufferedReader(Endless())

    store = Store()
    ask = caller(State(clock=clock, objects=store))
    ask.json("POST", "/experiment/v1/dcp_services", {"name": "s"})
    path = ask.control("state")["tables"][0]["s3_path"]
    store.stored = [StoredObject(f"{path}/a.csv", "1", 1)]
    (entry,) = ask.control("uploads")
    assert (entry["status"], entry["rows_processed"]) == ("completed", 50_000)
    assert max(asked) <= 2**17
