"""JSON Lines: every digit is kept, nothing is guessed, and a line that is no object is told."""

import io
import json
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.read.json_lines import json_rows
from optimove_provider.records.rows import BATCH_ROWS, Unread
from optimove_provider.records.to_json.encode import Encoder
from tests.support.rows.fates import parsed, records


@dataclass(frozen=True)
class Raw:
    """A number as its text."""

    text: str


@dataclass(frozen=True)
class Broken:
    """A line that is no object."""

    text: str


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
        (b'{"\\ud800":1}', r"column '\ud800': text that is not valid Unicode"),
        (b'{"id":"2","o":{"a":1,"a":2}}', "an object names a member twice"),
        (b'{"id":"\xff"}', "not UTF-8: invalid start byte at byte 7 of the line"),
        (b"[" * 100_000, "nested deeper than 100 lists and objects"),
        (b'{"a":' * 100_000, "nested deeper than 100 lists and objects"),
        (b'{"id":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested deeper than 100 lists and objects"),
        (b'{"id":"2","n":1e9999999999999999999}', "the number '1e9999999999999999999' has an exponent that is beyond"),
        (b'{"id":"2","n":[-1E-9999999999999999999]}', "has an exponent that is beyond all computing"),
        (b'{"id":"2","n":' + b"9" * 5000 + b"}", "an integer of more than 4300 digits"),
        (b'{"id":"2","n":"a\0b"}', "not JSON: Invalid control character"),
        (b'{"id":"2\0', "not JSON"),
        (b"\0" * 99, "not JSON"),
        (b'\xef\xbb\xbf{"id":"2"}', "not JSON: Unexpected UTF-8 BOM"),
        (b'{"id":"2"}\r{"id":"3"}', "not JSON: Extra data"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_line_that_is_no_row_is_told_in_its_place(line, reason):
    first, second, third = rows(b'{"id":"1"}\n' + line + b'\n{"id":"4"}\n')
    assert (first, third) == ({"id": "1"}, {"id": "4"})
    assert reason in second.reason
    assert second.text == line.decode(errors="backslashreplace")


UNFIT = {
    "NaN": "NaN and infinities are no JSON numbers",
    "[-Infinity]": "NaN and infinities are no JSON numbers",
    '{"a":[{"b":NaN}]}': "NaN and infinities are no JSON numbers",
    '"\\ud83d"': "text that is not valid Unicode",
    '{"a":"\\ud83d"}': "text that is not valid Unicode",
    '{"\\ude00":1}': "text that is not valid Unicode",
    "[" * 101 + "]" * 101: "nested deeper than 100 lists and objects",
    "[" * 330 + "]" * 330: "nested deeper than 100 lists and objects",
}
FIT = ["1", "2.5", "9007199254740993", "1E+400", '"a"', "true", '{"a":1}', "[" * 100 + "]" * 100, '"\\ud83d\\ude00"']


@pytest.mark.parametrize("beside", [[], *([one] for one in FIT), FIT], ids=lambda beside: str(beside)[:20])
@pytest.mark.parametrize("value", UNFIT, ids=lambda value: value[:20])
def test_a_value_without_a_form_rejects_its_row_alone(value, beside):
    lines = [f'{{"id":"{number}","v":{one}}}' for number, one in enumerate([*beside, value, *beside])]
    *found, fate = fates("\n".join(lines[: len(beside) + 1]).encode())
    assert fate == ("v", UNFIT[value])
    assert [json.loads(record) for record in found] == [json.loads(line) for line in lines[: len(beside)]]
    assert fates("\n".join(lines).encode())[: len(found) + 1] == [*found, fate]


def fates(data):
    return records(json_rows(io.BytesIO(data), "rows.jsonl"))


document = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers().map(str).map(Raw),
        st.decimals(allow_nan=False, allow_infinity=False).map(str).map(Raw),
        st.sampled_from(["NaN", "-Infinity", "1e9999999999999999999", "9" * 5000, "1E+400", "-0.0"]).map(str).map(Raw),
        st.text(st.characters(codec=None), max_size=3),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\ud83d", max_size=1), inner, max_size=2),
    max_leaves=4,
)


def written(value):
    """JSON text of a value, with its numbers as they were drawn."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{written(item)}" for name, item in value.items()) + "}"
    return json.dumps(value)


def exact(value):
    """What must be found in the record. Raises ValueError if nothing can be."""
    if isinstance(value, Broken):
        raise ValueError(value)
    if isinstance(value, Raw):
        if value.text.strip("-") in ("NaN", "Infinity", "1e9999999999999999999", "9" * 5000):
            raise ValueError(value)
        return Decimal(value.text)
    if isinstance(value, list):
        return [exact(item) for item in value]
    if isinstance(value, dict):
        return {exact(name): exact(item) for name, item in value.items()}
    return value.encode().decode() if isinstance(value, str) else value


@settings(max_examples=100)
@given(st.lists(document | st.sampled_from(["\0", "{", '{"id":1}}', "[1]"]).map(Broken), max_size=6))
def test_every_line_arrives_exactly_or_is_rejected(values):
    lines = [
        one.text if isinstance(one, Broken) else f'{{"id":{number},"v":{written(one)}}}'
        for number, one in enumerate(values)
    ]
    for number, (value, fate) in enumerate(zip(values, fates("\n".join(lines).encode()), strict=True)):
        try:
            expected = {"id": str(number), "v": exact(value)}
        except ValueError:
            assert isinstance(fate, tuple)
            continue
        assert parsed(fate) == {name: item for name, item in expected.items() if item is not None}


@pytest.mark.parametrize("other", ['"x"', "true", "{}", "[1]"])
def test_a_type_may_change_even_in_another_batch(other):
    data = b'{"id":1,"n":1}\n' * BATCH_ROWS + f'{{"id":2,"n":{other}}}\n'.encode()
    assert fates(data)[-2:] == ['{"id":"1","n":1}', f'{{"id":"2","n":{other}}}']


def test_keys_are_judged_row_by_row_even_in_another_batch():
    assert fates(b'{"n":1}\n{\n{"id":2}\n{"id":2.5}\n{"id":true}\n{"id":"a"}\n{"id":5.0}') == [
        ("id", "a key is missing"),
        ("not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",),
        '{"id":"2"}',
        ("id", "a key must be text or an integer, not a float: cast it in the query"),
        ("id", "a key must be text or an integer, not a bool: cast it in the query"),
        '{"id":"a"}',
        '{"id":"5"}',
    ]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (
            b'{"id":1}\r{"id":2}\r',
            "'rows.jsonl' has objects that end with a carriage return: end each line",
        ),
        (b'{"id":1}\r' * (2 << 20), "end each line with a line feed"),
        ('{"id":1}\n{"id":2}'.encode("utf-16"), "'rows.jsonl' is not UTF-8 but UTF-16 or UTF-32: save it as UTF-8"),
        ('{"id":1}'.encode("utf-32-be"), "not UTF-8 but UTF-16 or UTF-32"),
        ('{"id":1}\n{"id":2}\n'.encode("utf-16-le"), "not UTF-8 but UTF-16 or UTF-32"),
        ('{"id":1}\n{"id":2}\n'.encode("utf-16-be"), "not UTF-8 but UTF-16 or UTF-32"),
    ],
    ids=["carriage returns", "many of them", "UTF-16", "UTF-32, no mark", "UTF-16-LE, no mark", "UTF-16-BE, no mark"],
)
def test_a_file_without_lines_is_refused(data, complaint):
    with pytest.raises(DataError, match=complaint):
        fates(data)


def test_a_batch_is_bounded_by_the_text_that_it_is_made_of():
    line = b'{"id":1,"v":"' + b"x" * (1 << 20) + b'"}\n'
    assert [item.num_rows for item in items(line * 40)] == [0, 16, 16, 8]


def test_a_column_may_begin_late_and_stays():
    data = b'{"id":1}\n' * BATCH_ROWS + b'{"id":2,"n":3}\n' + b'{"id":1}\n' * BATCH_ROWS
    assert [batch.schema.names for batch in items(data)] == [["id"], ["id"], ["id", "n"], ["id", "n"]]


def test_rows_of_which_each_has_a_member_of_its_own_arrive_as_they_are():
    rows_ = [{"id": str(number), f"n{number}": number} for number in range(2_200)]
    data = "\n".join(map(json.dumps, rows_)).encode()
    assert items(data)[-1].num_columns > items(data)[1].num_columns
    assert [json.loads(text) for text in encoded(data)] == rows_


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
