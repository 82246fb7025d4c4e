"""A checked file in two: every row in one of them, byte for byte as it was."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.validate.row_sink import Split
from optimove_provider.records.validate.validate import Options, check_csv

ATTRIBUTES = [Attribute("LTV", "long"), Attribute("name", "string")]


def split(text: bytes, block_bytes: int) -> tuple[bytes, bytes, Split]:
    valid, refused = io.BytesIO(), io.BytesIO()
    parts = Split(valid, refused)
    report = check_csv(io.BytesIO(text), ATTRIBUTES, Options(block_bytes=block_bytes), row_sink=parts)
    assert (parts.rows_valid, parts.rows_valid + parts.rows_refused) == (report.valid_rows, report.rows)
    return valid.getvalue(), refused.getvalue(), parts


@pytest.mark.parametrize("block_bytes", [1, 16, 4096])
def test_every_row_is_in_one_of_the_two(block_bytes):
    text = b'customerId,LTV,name\n1,5,"a\nb"\r\n2,x,b\n3,1.5,c\n"4",6,"d ""e"""\n5,7\n6,8,f'
    valid, refused, _ = split(text, block_bytes)
    assert valid == b'customerId,LTV,name\n1,5,"a\nb"\r\n"4",6,"d ""e"""\n6,8,f'
    head, *rows = refused.splitlines()
    assert head == b"refused_row,refused_line,refused_because,customerId,LTV,name"
    assert [row.rpartition(b'",')[2] for row in rows] == [b"2,x,b", b"3,1.5,c", b"5,7"]
    assert [row.split(b",")[:2] for row in rows] == [[b"2", b"4"], [b"3", b"5"], [b"5", b"7"]]
    assert b"LTV: expected a whole number" in rows[0]


@pytest.mark.parametrize("block_bytes", [1, 4096])
def test_odd_text_is_refused_as_it_stands(block_bytes):
    text = b'customerId,LTV,name\n1,5,a"b\n2,6,\xff\n\n3,7,c\n'
    valid, refused, parts = split(text, block_bytes)
    assert valid == b"customerId,LTV,name\n3,7,c\n"
    assert b'1,5,a"b\n' in refused
    assert b"2,6,\xff\n" in refused
    assert parts.rows_refused == 2


def test_a_wrong_header_splits_nothing():
    with pytest.raises(DataError, match="nothing was split"):
        split(b"customerId,ltv\n1,2\n", 4096)


rows = st.lists(
    st.tuples(
        st.text("a1", min_size=1, max_size=2), st.sampled_from(["", "1", "x", "2.5"]), st.text('ab,"\n ', max_size=4)
    )
)


@given(rows, st.sampled_from([1, 8, 64, 4096]))
@settings(max_examples=100, deadline=None)
def test_what_the_csv_module_wrote_comes_back_whole(rows, block_bytes):
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([["customerId", "LTV", "name"], *rows])
    valid, refused, _ = split(written.getvalue().encode(), block_bytes)
    good = list(csv.reader(io.StringIO(valid.decode(), newline="")))[1:]
    bad = [row[3:] for row in csv.reader(io.StringIO(refused.decode(), newline=""))][1:]
    assert good == [list(row) for row in rows if row[1] in ("", "1")]
    assert bad == [list(row) for row in rows if row[1] not in ("", "1")]
