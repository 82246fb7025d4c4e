"""What the vendor calls right here and wrong there: warned of, handed on in the form of which it says so nowhere."""

import csv
import io
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.cells.values import comparable
from optimove_provider.records.findings.findings import ERROR
from optimove_provider.records.key import Key
from optimove_provider.records.validate.row_sink import Split
from optimove_provider.records.validate.validate import Options, check_csv
from tests.support.rowwise import check_rowwise

ATTRIBUTES = [
    Attribute("vip", "bool"),
    Attribute("ltv", "double"),
    Attribute("seen", "datetime", "yyyy-mm-ddThh:mm:ssZ"),
    Attribute("note", "string"),
]
HEADER = "customerId,vip,ltv,seen,note\n"


def handed_on(text, attributes=ATTRIBUTES, **options):
    """The findings, and the valid rows as an import is given them."""
    valid, refused = io.BytesIO(), io.BytesIO()
    wanted = Options(rewrites=True, **options)
    findings = check_csv(io.BytesIO(text.encode()), attributes, wanted, row_sink=Split(valid, refused))
    return findings, valid.getvalue().decode()


@pytest.mark.parametrize("block_bytes", [1, 64, 1 << 20])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_only_the_cells_that_are_disputed_change(block_bytes, end):
    text = (
        HEADER
        + 'a,True,1e-07,2024-01-31T00:00:00,"x, ""y"""\nb,"FALSE","1E+16",,z\nc,true,1.50,2024-01-31T00:00:00Z,\n'
    )
    wanted = HEADER + 'a,true,0.0000001,2024-01-31T00:00:00Z,"x, ""y"""\n'
    wanted += "b,false,10000000000000000,,z\nc,true,1.50,2024-01-31T00:00:00Z,\n"
    findings, rows = handed_on(text.replace("\n", end), block_bytes=block_bytes)
    assert rows == wanted.replace("\n", end)
    assert (findings.errors, findings.warnings()) == (0, {"bool": 2, "double": 2, "datetime": 1})


@pytest.mark.parametrize("block_bytes", [1, 64, 1 << 20])
def test_the_vendors_own_sample_row_loses_its_spaces(block_bytes):
    attributes = [Attribute("name", "string"), Attribute("height", "string"), Attribute("vip", "bool")]
    text = '"customerId", "name", "height", "vip"\n  "CustomerId1", "John Doe", "Height: 6\'1""", "True"\nb, c,d,true\n'
    findings, rows = handed_on(text, attributes, block_bytes=block_bytes)
    assert rows == '"customerId","name","height","vip"\n"CustomerId1","John Doe","Height: 6\'1""",true\nb, c,d,true\n'
    assert (findings.rows, findings.valid_rows, findings.errors) == (2, 2, 0)
    assert findings.warnings() == {"quote-space": 7, "bool": 1}
    strict, none = handed_on(HEADER + 'a, "true",,,\nb,true,,,\n', strict=True, block_bytes=block_bytes)
    assert (none, strict.errors) == (HEADER + "b,true,,,\n", 1)


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_space_in_front_is_told_from_one_that_belongs_to_the_value(delimiter):
    attributes = [Attribute("name", "string"), Attribute("note", "string")]
    text = 'customerId,name,note\na, "x y",  z\n b," x ", "",\n'.replace(",", delimiter)
    findings, rows = handed_on(text, attributes, delimiter=delimiter)
    assert rows == 'customerId,name,note\na,"x y",  z\n'.replace(",", delimiter)
    assert [(one.row, one.rule) for one in findings.findings if one.severity == ERROR] == [(2, "ragged")]


SPACED = """\
 "a, b",x
c, "d ""e"" "
  "f","g"
                 "seventeen spaces",h
long,@"more than a block looks for"
"i\nj",k
l, "m\nn"
o,"p"
q,  "r", "one too many"
name, "height"
" s"," ""t"
u v "w",x
y, ""
, " z"
z, NULL
z, "NULL"
"""
SPACED = SPACED.replace("@", 300 * " ")
OF_FILE = ("line-ends", "header-only")
NOTES = [Attribute("height", "string")]


def both_ways(text, attributes, **options):
    """What is handed on, whatever the size of blocks; what is found is what the plain way finds, in its order."""
    wanted = {"key": Key("name", any_case=False), "max_findings": 100_000, **options}
    plain, handed = check_rowwise(text.encode(), attributes, Options(**wanted)), set()
    for block_bytes in (1, 30, 200, 1 << 20):
        findings, rows = handed_on(text, attributes, block_bytes=block_bytes, **wanted)
        assert [one for one in findings.findings if one.rule not in OF_FILE] == plain.findings
        assert (findings.rows, findings.valid_rows) == (plain.rows, plain.valid_rows)
        assert all(findings.groups[group] == count for group, count in plain.groups.items())
        handed.add(rows)
    (rows,) = handed
    return rows


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("times", [1, 40])
def test_blocks_with_spaces_before_quotes_are_read_as_single_records_are(strict, end, times):
    rows = both_ways(f"name,height\n{SPACED * times}".replace("\n", end), NOTES, strict=strict)
    assert rows.count(f'c,"d ""e"" "{end}') == (0 if strict else times)
    assert rows.count(f'"a, b",x{end}') == (0 if strict else times)
    assert rows.count(f'"i{end}j",k{end}') == times
    assert ', "' not in rows


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text('a," \n', max_size=12) | st.sampled_from(['a, "b"', ' "a",b', 'a,  "b\nc"', "a,b"]), max_size=12)
)
def test_whatever_stands_around_spaces_and_quotes(lines):
    both_ways("name,height\n" + "\n".join(lines), NOTES)


def cpu_seconds(separator, rows=40_000):
    text = HEADER + "".join(
        separator.join((f'"c{n}"', '"true"', '"1.5"', '"2024-01-31T00:00:00Z"', '"x"')) + "\n" for n in range(rows)
    )
    start = time.process_time()
    findings, handed = handed_on(text)
    assert (findings.valid_rows, handed.count(" ")) == (rows, 0)
    return time.process_time() - start


def test_a_file_in_which_every_row_is_like_the_vendors_sample_costs_little_more():
    """It took a hundred times as long."""
    cpu_seconds(",", 1000)
    ordinary = min(cpu_seconds(",") for _ in range(3))
    assert min(cpu_seconds(", ") for _ in range(3)) < 8 * ordinary + 0.2


def test_a_cell_of_several_lines_with_a_space_before_it_stays_an_error():
    findings, rows = handed_on(HEADER + 'a, "true\n",,,\nb,true,,,\n')
    assert (rows, findings.errors > 0) == (HEADER, True)


def test_what_has_no_other_form_travels_as_it_is():
    attributes = [Attribute("n", "long"), Attribute("at", "datetime", "epoch"), Attribute("x", "double")]
    text = f"customerId,n,at,x\na,-9223372036854775808,0,0.{'0' * 320}5\n"
    findings, rows = handed_on(text, attributes)
    assert rows == text
    assert findings.warnings() == {"long": 1, "epoch": 1, "double": 1}
    assert handed_on(text, attributes, strict=True)[0].errors == 3


def test_a_check_alone_leaves_the_text_as_it_is():
    valid = io.BytesIO()
    text = HEADER + 'a,True,1e5,,\nb, "true",,,\n'
    check_csv(io.BytesIO(text.encode()), ATTRIBUTES, Options(), row_sink=Split(valid, io.BytesIO()))
    assert valid.getvalue().decode() == text


CELLS = {
    "vip": st.sampled_from(["true", "False", "TRUE", "", "yes"]),
    "ltv": st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.sampled_from(["", "1", "0e5", "x", "1E3"]),
    "seen": st.sampled_from(["2024-01-31T00:00:00", "2024-01-31T00:00:00Z", "", "2024-01-31"]),
    "note": st.sampled_from(["", "x", "a, b", 'y"z', "True", "1e5", "\nz"]),
}


def quoted(cell, how):
    if how or any(one in cell for one in ',"\n'):
        return f'{" " * (how == 2 and chr(10) not in cell)}"{cell.replace(chr(34), chr(34) * 2)}"'
    return cell


ROWS = st.lists(st.tuples(*(st.tuples(cells, st.integers(0, 2)) for cells in CELLS.values())), max_size=12)


@settings(max_examples=80, deadline=None)
@given(ROWS, st.sampled_from([1, 50, 1 << 20]))
def test_every_row_that_is_handed_on_is_strictly_right_and_means_the_same(rows, block_bytes):
    text = HEADER + "".join(
        f"{number}," + ",".join(quoted(*cell) for cell in row) + "\n" for number, row in enumerate(rows)
    )
    findings, handed = handed_on(text, block_bytes=block_bytes)
    again = check_csv(io.BytesIO(handed.encode()), ATTRIBUTES, Options(strict=True))
    tiny = [one for one in again.findings if "nearer to 0" in one.message or "0.000000" in one.value]
    assert again.errors == len(tiny)
    assert again.rows == findings.valid_rows
    for cells in list(csv.reader(io.StringIO(handed, newline="")))[1:]:
        original = [cell for cell, _ in rows[int(cells[0])]]
        for attribute, before, after in zip(ATTRIBUTES, original, cells[1:], strict=True):
            assert comparable(attribute, before) == comparable(attribute, after)
            assert attribute.name != "ltv" or "e" not in after.lower()
