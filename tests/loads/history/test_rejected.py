"""The rejected rows of a load, read back from the files that loads write."""

import io
import json

import pytest

from optimove_provider.loads.history.rejected import rejected_path, rejected_rows
from optimove_provider.records.rejected_lines import rejected_line, unread_line
from optimove_provider.records.rows import Unread
from optimove_provider.records.validate.row_sink import Split

LINES = [
    rejected_line(2, "the vendor's Words", 400, '{"id":2}'),
    unread_line(3, Unread('{"id": 3', "cut short")),
    b"no JSON\n",
    rejected_line(4, "no key", None, '{"id":null}'),
]


@pytest.fixture
def filed(staging_on_disk):
    staging_on_disk.write_text("reports/1.rejected.jsonl", b"".join(LINES).decode())
    return staging_on_disk


def test_each_row_has_its_reason_its_status_and_what_it_was(filed):
    found = [(one.row, one.reason, one.status, one.content) for one in rejected_rows(filed, "reports/1.rejected.jsonl")]
    assert found == [
        ("2", "the vendor's Words", "400", '{"id": 2}'),
        ("3", "cut short", "", '{"id": 3'),
        ("4", "no key", "", '{"id": null}'),
    ]


def test_they_are_found_by_their_reason_whatever_its_case(filed):
    assert [one.row for one in rejected_rows(filed, "reports/1.rejected.jsonl", "VENDOR'S WORDS")] == ["2"]


@pytest.mark.parametrize(("ending", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_refused_rows_of_an_import_are_read_from_its_file(staging_on_disk, ending, delimiter):
    refused = io.BytesIO()
    split = Split(io.BytesIO(), refused, delimiter)
    split.header(f"customerId{delimiter}n\n".encode())
    split.refuse(7, 8, f'7{delimiter}"x\ny"\n'.encode(), ["no number", "too long"])
    staging_on_disk.write_text(f"reports/1.rejected.{ending}", refused.getvalue().decode())
    (one,) = rejected_rows(staging_on_disk, f"reports/1.rejected.{ending}")
    assert (one.row, one.reason, json.loads(one.content)) == (
        "7",
        "no number; too long",
        {"customerId": "7", "n": "x\ny"},
    )


@pytest.mark.parametrize("name", ["", "2.rejected.jsonl", "file:///etc/passwd", "1.rejected.csv"])
def test_only_a_file_of_the_load_itself_is_read(filed, name):
    filed.write_text("reports/2.rejected.jsonl", "{}")
    assert rejected_path(filed, {"load_id": "1", "rejected_file": name}) is None
    assert (
        rejected_path(filed, {"load_id": "1", "rejected_file": "s3://b/1.rejected.jsonl"}) == "reports/1.rejected.jsonl"
    )
