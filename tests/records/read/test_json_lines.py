"""JSON Lines: every digit is kept, nothing is guessed, and a line that is no object is told."""

import io
import json
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.read.json_lines import json_rows
from optimove_provider.records.rows import BATCH_ROWS, Unread
from optimove_provider.records.to_json.encode import Encoder


def items(data, name="rows.jsonl"):
    return list(json_rows(io.BytesIO(data), name))


def rows(data, name="rows.jsonl"):
    return [
        row for item in items(data, name) for row in (item.to_pylist() if isinstance(item, pa.RecordBatch) else [item])
    ]


def encoded(data):
    """What the rows are as records, encoded again."""
    records = []
    for batch in json_rows(io.BytesIO(data), "rows.jsonl"):
        records += Encoder(batch.schema, "id").encode(batch).records.to_pylist()
    return records


def test_types_come_from_the_file():
    first, batch = items(
        b'\xef\xbb\xbf{"id":"007","at":"2022-05-02","n":1,"b":true,"o":{"b":1.50,"a":null}}\r\n\n{"id":"8","n":null}'
    )
    assert first.num_rows == 0
    assert first.schema == batch.schema
    assert batch.schema.types == [pa.string(), pa.string(), pa.int64(), pa.bool_(), pa.json_()]
    assert batch.to_pylist() == [
        {"id": "007", "at": "2022-05-02", "n": 1, "b": True, "o": '{"a":null,"b":1.5}'},
        {"id": "8", "at": None, "n": None, "b": None, "o": None},
    ]


@pytest.mark.parametrize(
    ("numbers", "type_"),
    [
        (["1", "-9223372036854775808", "9223372036854775807"], pa.int64()),
        (["1", "2.5", "9007199254740991", "1e300"], pa.float64()),
        (["9007199254740993", "2.5"], pa.json_()),
        (["18446744073709551616", "1"], pa.json_()),
        (["0.1234567890123456789"], pa.json_()),
        (["1E+400"], pa.json_()),
    ],
)
def test_numbers_keep_every_digit(numbers, type_):
    data = "".join(f'{{"id":"{index}","n":{number}}}\n' for index, number in enumerate(numbers)).encode()
    assert items(data)[1].schema.field("n").type == type_
    read = [json.loads(record, parse_float=Decimal, parse_int=Decimal)["n"] for record in encoded(data)]
    assert read == [Decimal(number) for number in numbers]


numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60).map(float)
exact = st.decimals(allow_nan=False, allow_infinity=False)


@given(st.lists(numbers.map(json.dumps) | exact.map(str), min_size=1, max_size=5))
def test_a_number_has_one_form_whatever_stands_beside_it(written):
    lines = [f'{{"id":"{index}","n":{number}}}\n'.encode() for index, number in enumerate(written)]
    together = encoded(b"".join(lines))
    assert together == [record for line in lines for record in encoded(line)]
    read = [json.loads(record, parse_float=Decimal, parse_int=Decimal)["n"] for record in together]
    assert read == [Decimal(number) for number in written]


def test_documents_gain_no_members():
    assert encoded(b'{"id":"1","o":{"a":1}}\n{"id":"2","o":{"b":[{"c":2}]}}\n{"id":"3","o":[]}') == [
        '{"id":"1","o":{"a":1}}',
        '{"id":"2","o":{"b":[{"c":2}]}}',
        '{"id":"3","o":[]}',
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[1]", "the line is no JSON object"),
        (b"{}", "an object without members"),
        (b'{"id":"2"', "not JSON: Expecting ',' delimiter"),
        (b'{"id":"2"} {"id":"3"}', "not JSON: Extra data"),
        (b'{"id":"2","id":"3"}', "an object names a member twice"),
        (b'{"id":"\\ud800"}', "text that is not valid Unicode"),
        (b'{"id":["\\ud800"]}', "text that is not valid Unicode"),
        (b'{"\\ud800":1}', "text that is not valid Unicode"),
        (b'{"id":"2","o":[NaN]}', "NaN and infinities are no JSON numbers"),
        (b'{"id":"\xff"}', "not UTF-8: invalid start byte at byte 7 of the line"),
        (b"[" * 100_000, "not JSON"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_line_that_is_no_row_is_told_in_its_place(line, reason):
    first, second, third = rows(b'{"id":"1"}\n' + line + b'\n{"id":"4"}\n')
    assert (first, third) == ({"id": "1"}, {"id": "4"})
    assert reason in second.reason
    assert second.text == line.decode(errors="backslashreplace")


def test_nan_is_a_number_that_only_the_encoder_refuses():
    batch = items(b'{"id":"1","n":NaN}\n{"id":"2","n":1}\n')[1]
    (unfit,) = Encoder(batch.schema, "id").encode(batch).unfit
    assert (unfit.position, unfit.column) == (0, "n")


@pytest.mark.parametrize("other", ['"x"', "true", "{}", "[1]"])
def test_a_type_that_changes_is_refused_even_in_another_batch(other):
    data = b'{"n":null}\n' + b'{"n":1}\n' * BATCH_ROWS + f'{{"n":{other}}}\n'.encode()
    complaint = rf"source 'rows.jsonl', row {BATCH_ROWS + 2}, column 'n': .* is .*, but the column held a number before"
    with pytest.raises(DataError, match=complaint):
        items(data)


def test_a_column_may_begin_late_and_stays():
    data = b'{"id":1}\n' * BATCH_ROWS + b'{"id":2,"n":3}\n' + b'{"id":1}\n' * BATCH_ROWS
    assert [batch.schema.names for batch in items(data)] == [["id"], ["id"], ["id", "n"], ["id", "n"]]


def test_a_file_without_rows_has_no_columns():
    assert items(b"") == items(b"\n \n") == []


def test_our_own_rejected_rows_are_replayed():
    lines = [
        {"row": 1, "reason": "x", "status": 400, "source": "a.csv", "record": {"id": "1", "n": 2}},
        {"row": 7, "reason": "3 columns, but the header has 2", "text": "1,2,3"},
        {"row": 8, "reason": "?"},
    ]
    data = b"\n".join(json.dumps(line).encode() for line in lines)
    told = rows(data, "s3://bucket/x/rejected.jsonl")
    assert told[:2] == [{"id": "1", "n": 2}, Unread("1,2,3", "3 columns, but the header has 2")]
    assert "neither a record nor a text" in told[2].reason
    assert rows(data, "other.jsonl")[1]["text"] == "1,2,3"


def test_memory_is_bounded_by_a_line():
    class Endless(io.RawIOBase):
        left = 200

        def read(self, size=-1):
            self.left -= 1
            return b"x" * size if self.left > 0 else b""

    (told,) = rows_of(Endless())
    assert "the line is longer than" in told.reason
    assert len(told.text) == 1 << 20


def rows_of(stream):
    return list(json_rows(stream, "rows.jsonl"))
