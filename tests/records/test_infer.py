"""Guessed attributes: every guess is right about all values, and cautious where a value could be two things."""

import gzip
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.contract.cells.datatypes import RULES, Attribute, Verdict
from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.files import decompressed
from optimove_provider.records.infer import infer
from optimove_provider.records.validate.validate import check_csv


def guess(cells: list[str], name: str = "a", **options: Any) -> tuple[str, str]:
    """The kind that a column of these cells is taken for, and why."""
    text = f"customerId,{name}\n" + "".join(f"{row},{cell}\n" for row, cell in enumerate(cells, 1))
    (column,) = infer(io.BytesIO(text.encode()), "a.csv", **options).columns
    return f"{column.rule.name}", column.why


@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        (["true", "false", ""], "bool"),
        (["True", "false"], "bool"),  # disputed, and an import writes true
        (["True", "yes"], "string"),
        (["1", "-2", ""], "long"),
        (["1", "2.5"], "double"),
        (["1e5", "1e-07"], "double"),
        (["5e-324"], "string"),  # no form of it is undisputed
        (["-9223372036854775808"], "string"),
        (["0", "1"], "long"),
        (["2022-05-02", "2024-02-29"], "date"),
        (["2022-05-02", "2023-02-29"], "string"),
        (["2022-05-02T10:10:59Z"], "datetime"),
        (["2022-05-02T10:10:59"], "datetime"),  # disputed, and an import writes the Z
        (["2022-05-02", "2022-05-02T10:10:59Z"], "string"),
        (["00123", "12345"], "string"),
        (["1", " 2"], "string"),
        (["12345678901234567890", "1"], "string"),  # a double would lose digits
        (["1.5", "12345678901234567890"], "string"),
        (["", ""], "string"),
        ([], "string"),
        (["n/a", "1"], "string"),
        (["1"] * 5000 + ["x"], "string"),
        (["1"] * 5000 + ["1.5"], "double"),
    ],
)
def test_a_column_is_what_all_of_its_values_are(cells, rule):
    assert guess(cells)[0] == rule


@pytest.mark.parametrize("name", ["created_at", "seen_ts", "epoch", "EPOCH", "last_epoch_utc", "ts", "timestamp"])
def test_ten_digits_are_a_time_if_the_name_says_so(name):
    kind, why = guess(["1651676123", "", "1651676124"], name)
    assert kind == "epoch"
    assert "the name speaks of a time" in why
    assert guess(["1651676123", "165167612"], name)[0] == "long"
    assert guess(["1651676123", "1651676123.5"], name)[0] == "double"


@pytest.mark.parametrize("name", ["phone", "cats", "format", "atlas", "plate"])
def test_ten_digits_are_a_number_otherwise(name):
    kind, why = guess(["1651676123"], name)
    assert (kind, "taken for no epoch" in why) == ("long", True)


def test_why_names_the_value_that_decided():
    assert guess(["1", "2", "n/a", "x"])[1] == "row 3 has 'n/a', which is no long and no double"
    assert guess(["abc"])[1] == "row 1 has 'abc', which is text"
    assert "ending" not in guess(["1"] * 300 + ["y" * 100])[1]
    assert guess(["1"] * 300 + ["y" * 100])[1].startswith(f"row 301 has '{'y' * 40}...'")
    assert "nearer to 0 than 2^-1023" in guess(["5e-324"])[1]
    assert guess(["1", "1e-07"])[1] == "fits all of its 2 values; an import writes '1e-07' of row 2 as '0.0000001'"


NUMBERS = ["0", "1", "-1", "007", "1.5", "1e400", "9223372036854775807", "-9223372036854775808", "1651676123"]
OTHERS = [
    "",
    "true",
    "True",
    "2022-05-02",
    "2022-02-30",
    "2022-05-02T10:10:59Z",
    "165167612300",
    "x",
    "é",
    '"a,b"',
    " 1",
]
CELLS = st.sampled_from([*NUMBERS, *OTHERS])


@given(st.lists(CELLS, max_size=8), st.integers(0, 100), CELLS)
def test_no_value_contradicts_its_guess_and_none_was_too_cautious(cells, repeated, first):
    cells = [first] * repeated + cells
    kind, _ = guess(cells)
    values = [cell.strip('"') for cell in cells if cell]
    fits = {rule.name for rule in RULES if all(rule.judge(rule.undisputed(value)) is Verdict.VALID for value in values)}
    assert kind in fits
    if kind == "string" and values:
        # No long, and as a double it would lose digits.
        assert fits == {"string"} or "-9223372036854775808" in values


def test_a_file_is_valid_by_its_own_guess():
    rows = "".join(f"{i},{i},{i}.5,2024-01-{i % 28 + 1:02d},{i:05d}\n" for i in range(1000))
    text = f"CUSTOMERID,a,b,c,d\n{rows}".encode()
    listed = infer(io.BytesIO(text), "a.csv").as_json()
    attributes = [Attribute.from_json(one) for one in listed]
    assert [one["datatype"] for one in listed] == ["long", "double", "datetime", "string"]
    assert not check_csv(io.BytesIO(text), attributes).total


def test_rows_limits_what_is_looked_at():
    cells = ["1"] * 100 + ["x"] * 100_000
    assert guess(cells, rows=100)[0] == "long"
    assert guess(cells, rows=101)[0] == "string"
    rows = io.BytesIO(b"customerId,a,b\n" + b"1,2,3\n" * 3_000_000)
    assert infer(rows, "a.csv", rows=5).rows == 5
    assert rows.tell() < 15_000_000


def test_rows_that_cannot_be_read_do_not_count():
    guesses = infer(io.BytesIO(b'customerId,a\n1,2\nx\n2,3"\n\n3,4\n'), "a.csv")
    assert (guesses.rows, guesses.skipped) == (2, 2)
    assert guesses.as_json() == [{"name": "a", "datatype": "long", "format": None}]
    assert guesses.describe()[-1] == "2 of 4 rows could not be read and do not count"


def test_packed_tabs_and_a_byte_order_mark_are_read():
    packed = gzip.compress("\ufeffa\tcustomerId\n1\tx\n".encode())
    guesses = infer(decompressed(io.BytesIO(packed), "a.tsv.gz"), "a.tsv.gz", "\t")
    assert guesses.as_json() == [{"name": "a", "datatype": "long", "format": None}]
    assert guesses.has_key


def test_a_missing_key_is_said():
    guesses = infer(io.BytesIO(b"a\n1\n"), "a.csv")
    assert "no column customerId" in guesses.describe()[-1]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "is empty"),
        (b'customerId,"a\n', "the header cannot be read"),
        (b"customerId,,b\n", "column 2 has no name"),
        (b"customerId,a,a\n", "has the column 'a' more than once"),
        (b"customerId,\xff\n", "column 2 is not UTF-8"),
        (b"customerId;a\n1;2\n", "--delimiter ';'"),
        (b"PK\x03\x04...xl/workbook.xml", "an Excel workbook"),
    ],
)
def test_a_header_without_usable_names_is_refused(text, complaint):
    with pytest.raises(DataError, match=complaint):
        infer(io.BytesIO(text), "a.csv")


@pytest.mark.parametrize("marker", ["NULL", "\\N", "None", "nan", "#N/A", "NaN"])
def test_markers_of_null_say_nothing_about_a_datatype(marker):
    text = f"customerId,n,day\n1,5,2024-01-31\n2,{marker},{marker}\n3,7,\n"
    number, day = infer(io.BytesIO(text.encode()), "a.csv").columns
    assert (number.rule.name, day.rule.name) == ("long", "date")
    assert number.why.endswith(f"; besides markers of null, which should be empty cells: {marker!r} (first in row 2)")
