"""The row-by-row check: planted faults are found at their place, and none is invented."""

import csv
import io
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.cells.datatypes import RULES, Attribute
from optimove_provider.records.csv_syntax.grammar import MAX_CELL_CHARACTERS, MAX_RECORD_BYTES
from optimove_provider.records.findings.findings import Finding, Findings
from optimove_provider.records.key import Key
from optimove_provider.records.validate.row_sink import Split
from optimove_provider.records.validate.validate import Options, check_csv
from tests.support.rowwise import check_rowwise

ATTRIBUTES = [
    Attribute("name", "string"),
    Attribute("LTV", "long"),
    Attribute("score", "double"),
    Attribute("active", "bool"),
    Attribute("born", "datetime", "yyyy-mm-dd"),
    Attribute("seen", "datetime", "yyyy-mm-ddThh:mm:ssZ"),
    Attribute("since", "datetime", "epoch"),
    Attribute("old", "string", archived=True),
]
HEADER = ["customerId", "name", "LTV", "score", "active", "born", "seen", "since"]
OF_FILE = ("bom", "empty-file", "header-only", "size", "line-ends")
GOOD = ["c1", "Ann", "100", "-2.5", "true", "2022-05-02", "2022-05-02T10:10:59Z", "1651676123"]


def check(text: str | bytes, attributes=ATTRIBUTES, **options) -> Findings:
    """Check a text, and see that blocks of any size and the plain way give the same report."""
    raw = text.encode() if isinstance(text, str) else text
    report = check_csv(io.BytesIO(raw), attributes, Options(**options))
    assert report.bytes == len(raw)
    assert sum(report.counts.values()) == report.total
    for size in (1, 7, 64, 1000) if len(raw) < 10_000 else (100_000,):
        assert check_csv(io.BytesIO(raw), attributes, Options(**options, block_bytes=size)) == report
    plain = check_rowwise(raw, attributes, Options(**options))
    assert plain.findings == [one for one in report.findings if one.rule not in OF_FILE]
    assert (plain.rows, plain.valid_rows) == (report.rows, report.valid_rows)
    return report


def places(report: Findings) -> list[tuple[int, int, int, str, str]]:
    return [(one.row, one.line, one.byte, one.column, one.rule) for one in report.findings if one.rule != "line-ends"]


def in_order(report: Findings) -> list[Finding]:
    """The findings about records, without those about the whole file, which come last."""
    return [one for one in report.findings if one.rule not in OF_FILE]


def test_a_clean_file_with_every_datatype():
    report = check(",".join(HEADER) + "\n" + ",".join(GOOD) + "\n", file="a.csv")
    assert (report.file, report.rows, report.valid_rows, report.findings) == ("a.csv", 1, 1, [])


def test_a_subset_of_the_attributes_in_any_order_and_empty_cells_are_fine():
    report = check('LTV,CustomerID,born\n5,a,\n,b,\n"",c,""')
    assert (report.rows, report.valid_rows, report.findings) == (3, 3, [])


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.invalid], ids=lambda rule: rule.name)
def test_printed_cells_in_a_file(rule, strict):
    attribute = Attribute("field", rule.datatype, rule.format)
    buffer = io.StringIO()
    cells = [*rule.valid, *rule.invalid]
    csv.writer(buffer).writerows([["customerId", "field"], *enumerate(cells)])
    report = check(buffer.getvalue(), [attribute], strict=strict)
    bad = [cell for cell in cells if rule.judge(cell, strict).value == "invalid"]
    doubtful = [cell for cell in cells if rule.judge(cell, strict).value == "disputed"]
    assert {one.rule for one in report.findings} == {rule.name}
    assert [one.value for one in report.findings if one.severity == "error"] == bad
    assert [one.value for one in report.findings if one.severity == "warning"] == doubtful
    assert (report.rows, report.valid_rows) == (len(cells), len(cells) - len(bad))
    assert all(one.message.startswith(f"expected {rule.expects}") for one in report.findings)


def test_a_disputed_cell_is_a_warning_that_says_why_and_an_error_when_strict():
    text = "customerId,active\na,TRUE\n"
    (warning,) = check(text).findings
    assert (warning.severity, check(text).valid_rows) == ("warning", 1)
    assert "its table other cases too" in warning.message
    (error,) = check(text, strict=True).findings
    assert (error.severity, check(text, strict=True).valid_rows) == ("error", 0)


def test_bad_cells_at_their_place_after_quoted_newlines_crlf_and_multibyte_text():
    header = "customerId,name,LTV\r\n"
    first = '1,"Zoë\r\nsays ""hi""\n\n",5\r\n'
    second = "2,\U0001f600,1.5\n"
    third = '3,"a\nb",+5\r\n'
    report = check(header + first + second + third)
    at = [len(part.encode()) for part in (header, header + first, header + first + second)]
    assert places(report) == [(2, 6, at[1], "LTV", "long"), (3, 7, at[2], "LTV", "long")]
    assert [one.value for one in in_order(report)] == ["1.5", "+5"]
    assert (report.rows, report.valid_rows) == (3, 1)


def test_every_bad_cell_of_a_row_is_reported():
    row = ["c1", "x", "1.0", "NaN", "yes", "2022-02-30", "now", "-1"]
    report = check(",".join(HEADER) + "\n" + ",".join(row) + "\n")
    assert [one.column for one in report.findings] == HEADER[2:]
    assert (report.errors, report.valid_rows) == (6, 0)


@pytest.mark.parametrize("text", ["", "\ufeff"])
def test_an_empty_file(text):
    report = check(text)
    assert report.counts["empty-file"] == 1
    assert (report.errors, report.rows) == (1, 0)


@pytest.mark.parametrize("text", ["customerId,name", "customerId,name\n", "customerId,name\r\n\r\n"])
def test_a_header_without_a_row_is_a_warning(text):
    report = check(text)
    assert [(one.rule, one.severity) for one in report.findings if one.rule != "blank-line"] == [
        ("header-only", "warning")
    ]
    assert (report.errors, report.rows) == (0, 0)


def test_what_is_said_of_names_is_placed_where_the_header_is():
    about = Finding(0, 1, 0, "name", "pii-name", "name", "a name", "warning")
    report = check_csv(io.BytesIO(b"\n\ncustomerId,name\na,b\n"), ATTRIBUTES, Options(about_names=lambda _: [about]))
    assert [(one.line, one.byte) for one in report.findings if one.rule == "pii-name"] == [(3, 2)]


def test_a_byte_order_mark_is_a_warning_and_no_part_of_the_first_name():
    report = check("\ufeffcustomerId,LTV\na,x\n")
    assert places(report) == [(1, 2, 18, "LTV", "long"), (0, 1, 0, "", "bom")]
    assert report.errors == 1


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("name,LTV", [("", "header-customer-id")]),
        ("customerId,name,CUSTOMERID", [("", "header-customer-id")]),
        ("customerId,name,name", [("name", "header-duplicate")]),
        ("customerId,colour", [("colour", "header-unknown")]),
        ("customerId,old", [("old", "header-archived")]),
        ("customerId,", [("", "header-unknown")]),
        ("customer_id,ltv", [("", "header-customer-id"), ("customer_id", "header-unknown"), ("ltv", "header-unknown")]),
    ],
)
def test_header_rules(header, expected):
    report = check(header + "\n")
    *found, last = report.findings
    assert [(one.column, one.rule) for one in found] == expected
    assert {(one.row, one.line, one.byte, one.severity) for one in found} == {(0, 1, 0, "error")}
    assert last.rule == "header-only"


def test_an_unknown_name_is_answered_with_the_nearest_known_one():
    report = check("custmerId, ltv ,scroe,zzzzz\n")
    hints = {one.value: one.message.partition("; ")[2] for one in report.findings if one.rule == "header-unknown"}
    assert hints == {
        "custmerId": "did you mean 'customerId'?",
        " ltv ": "did you mean 'LTV'?",
        "scroe": "did you mean 'score'?",
        "zzzzz": "",
    }


def test_looking_for_nearest_names_ends():
    report = check("customerId," + ",".join(f"score{n:04}" for n in range(150)) + "\n")
    assert report.counts == {"header-unknown": 150, "header-only": 1}
    assert sum("did you mean 'score'?" in one.message for one in report.findings) == 100


@pytest.mark.any_version
def test_looking_for_nearest_names_among_many_ends():
    known = [Attribute(f"attribute_{number}", "string") for number in range(50_000)]
    names = ",".join(f"atribute_{number}" for number in range(100))
    report = check_csv(io.BytesIO(f"customerId,{names}\n".encode()), known, Options())
    assert sum("did you mean" in one.message for one in report.findings) == 3


def test_customer_id_is_the_key_even_if_an_attribute_has_its_name():
    report = check("customerId\na1\n", [Attribute("customerId", "long")])
    assert (report.rows, report.findings) == (1, [])


def test_an_attribute_registered_again_after_it_was_archived_is_known():
    attributes = [Attribute("LTV", "string", archived=True), Attribute("LTV", "long")]
    report = check("customerId,LTV\na,x\n", attributes)
    assert places(report) == [(1, 2, 15, "LTV", "long")]


def test_rows_under_a_faulty_header_are_still_read_for_what_can_be_said():
    report = check('customerId,colour,LTV\na,red,x\n,blue,1\nb\nc,"d"e,2\nd,green,3\n')
    assert [(one.row, one.rule) for one in report.findings] == [
        (0, "header-unknown"),
        (1, "long"),
        (2, "customer-id"),
        (3, "ragged"),
        (4, "quote"),
        (5, "after-quote"),
    ]
    assert (report.rows, report.valid_rows) == (5, 0)


def test_a_header_that_cannot_be_read_spares_its_rows_what_depends_on_names():
    report = check('customerId,"LTV\na,x\nb,"y"z\n')
    assert places(report) == [(0, 1, 0, "", "quote"), (2, 3, 20, "", "quote")]
    assert (report.rows, report.valid_rows) == (2, 0)


@pytest.mark.parametrize(("row", "found"), [("a", 1), ("a,1,2,3", 4), ('a,"1,2",', 3), ('"a,5"', 1)])
def test_ragged_rows(row, found):
    report = check(f"customerId,LTV\nx,1\n{row}\ny,2\n")
    assert places(report) == [(2, 3, 19, "", "ragged")]
    assert report.findings[0].message.endswith(f"found {found}")
    assert report.findings[0].value == row
    assert report.valid_rows == 2


@pytest.mark.parametrize("identifier", ["", '""', "  ", '" "'])
def test_an_empty_customer_id(identifier):
    report = check(f"LTV,CUSTOMERid\n1,a\nx,{identifier}\n")
    assert places(report) == [(2, 3, 19, "CUSTOMERid", "customer-id"), (2, 3, 19, "LTV", "long")]
    assert report.valid_rows == 1


def test_blank_lines_are_warned_of_and_not_counted_as_rows():
    report = check("customerId,LTV\r\n\r\na,1\r\n\n\nb,x\r\n\r\n")
    assert places(report) == [
        (0, 2, 16, "", "blank-line"),
        (0, 4, 23, "", "blank-line"),
        (0, 5, 24, "", "blank-line"),
        (2, 6, 25, "LTV", "long"),
        (0, 7, 30, "", "blank-line"),
    ]
    assert (report.rows, report.valid_rows, report.errors) == (2, 1, 1)


def test_a_blank_line_before_the_header_is_an_error():
    report = check("\ncustomerId,LTV\na,1\n")
    assert places(report) == [(0, 1, 0, "", "blank-line")]
    assert (report.errors, report.valid_rows) == (1, 0)


def test_a_space_before_an_opening_quote_as_in_the_vendors_sample():
    sample = '"CustomerId1", "John Doe", "Height: 6\'1"""\n'
    attributes = [Attribute("name", "string"), Attribute("height", "string")]
    report = check("customerId,name,height\n" + sample, attributes)
    assert places(report) == [(1, 2, 23, "name", "quote-space"), (1, 2, 23, "height", "quote-space")]
    assert [one.value for one in report.findings] == [' "John Doe"', ' "Height: 6\'1"""']
    assert (report.valid_rows, report.errors) == (1, 0)
    strict = check("customerId,name,height\n" + sample, attributes, strict=True)
    assert places(strict) == places(report)
    assert (strict.valid_rows, strict.errors) == (0, 2)


def test_a_quoted_value_that_starts_with_a_space_and_a_quote_is_fine():
    assert check('customerId,name\na," ""x"""\nb," y"\nc, z\n').findings == []


@pytest.mark.parametrize(
    ("row", "column", "rule", "says"),
    [
        ('a,"x"y,5', "name", "quote", "text after a closing quote"),
        ('a,"x" ,5', "name", "quote", "text after a closing quote"),
        ('a,"he said "hi" ok",5', "name", "quote", "text after a closing quote"),
        ("a,6'1\",5", "name", "quote", "a cell that is not quoted"),
        ('"a"b,x,5', "customerId", "quote", "text after a closing quote"),
        ('a, "x"y,5', "name", "quote", "text after a closing quote"),
        ('a, "x,5', "name", "quote", "a quote opened on line 3 is not closed"),
        ('a,"x\ny"z,x', "name", "quote", "text after a closing quote"),
        ("a,x\ry,5", "name", "bare-cr", "carriage return"),
        ("a,x,5\r\r", "LTV", "bare-cr", "carriage return"),
    ],
)
def test_broken_quoting_is_one_finding_and_the_next_row_is_read_as_it_is(row, column, rule, says):
    report = check(f"customerId,name,LTV\nx,y,1\n{row}\ny,z,x\n")
    broken, *doubt, after = in_order(report)
    assert (broken.row, broken.line, broken.byte) == (2, 3, 26)
    assert (broken.column, broken.rule, broken.severity) == (column, rule, "error")
    assert says in broken.message
    assert {(one.row, one.rule) for one in doubt} <= {(3, "after-quote")}
    assert (after.row, after.line, after.rule) == (3, 4 + row.count("\n"), "long")
    assert (report.rows, report.valid_rows) == (3, 1)


def test_an_unclosed_quote_says_where_it_was_opened_and_swallows_no_rows():
    report = check('customerId,name,LTV\n"1\n2",""\n,5\na,"b\nc,d,x\ne,f,6\ng,h,')
    assert [(one.row, one.line, one.column, one.rule) for one in report.findings] == [
        (1, 2, "", "ragged"),
        (2, 4, "", "ragged"),
        (3, 5, "name", "quote"),
        (4, 6, "", "after-quote"),
        (4, 6, "LTV", "long"),
        (5, 7, "", "after-quote"),
        (6, 8, "", "after-quote"),
    ]
    assert "opened on line 5 is not closed before the end of the file" in report.findings[2].message
    assert (report.rows, report.valid_rows) == (6, 0)


def test_an_unclosed_quote_after_a_quoted_newline_ends_its_record_on_its_own_line():
    report = check('customerId,name,LTV\n"1\n2","b,3\nc,d,x\n')
    assert places(report) == [(1, 2, 20, "name", "quote"), (2, 4, 31, "", "after-quote"), (2, 4, 31, "LTV", "long")]
    assert "opened on line 3" in report.findings[0].message


def test_an_unclosed_quote_swallows_no_rows_up_to_the_next_quoted_cell():
    report = check('customerId,name,LTV\na,"b\nc,d,x\ne,f,6\ng,"h",y\ni,j,7\n')
    assert [(one.row, one.line, one.column, one.rule) for one in report.findings] == [
        (1, 2, "name", "quote"),
        (2, 3, "", "after-quote"),
        (2, 3, "LTV", "long"),
        (3, 4, "", "after-quote"),
        (4, 5, "", "after-quote"),
        (4, 5, "LTV", "long"),
    ]
    assert (report.rows, report.valid_rows) == (5, 1)
    assert "opened on line 2 is not closed" in report.findings[0].message


def test_lines_after_a_quote_that_is_never_closed_are_rows_whatever_is_wrong_with_them():
    report = check('customerId,name,LTV\na,"b\nc,\0d\ne,\0,1\n')
    assert [(one.row, one.line, one.rule) for one in report.findings] == [
        (1, 2, "quote"),
        (2, 3, "nul"),
        (2, 3, "after-quote"),
        (2, 3, "ragged"),
        (3, 4, "nul"),
        (3, 4, "after-quote"),
    ]


def test_an_unclosed_quote_in_a_long_file_costs_the_rows_up_to_the_next_certain_end():
    rows = [f"{n},text,{n}\n" for n in range(60_000)]
    rows[100] = '100,"text,100\n'
    rows[5_000] = '5000,"text",5000\n'
    rows[59_999] = "59999,text,x\n"
    report = check("customerId,name,LTV\n" + "".join(rows))
    at = [len("customerId,name,LTV\n" + "".join(rows[:n])) for n in (100, 59_999)]
    found = [place for place in places(report) if place[-1] != "after-quote"]
    assert found == [(101, 102, at[0], "name", "quote"), (60_000, 60_001, at[1], "LTV", "long")]
    assert [one.row for one in report.findings if one.rule == "after-quote"] == list(range(102, 5_002))
    assert (report.rows, report.valid_rows) == (60_000, 60_000 - 2 - 4_900)


@pytest.mark.parametrize(
    ("broken", "valid"),
    [
        ('1,"abc"x,1\n2,fake,2\nend",3\n', []),  # text after a quote, and the cell goes on
        ('1,"abc\n2,fake,2\n', []),  # a download that was cut off
        ('1,"a "b" c\n2,fake,2\nend",3\n', []),  # quotes that were not doubled, over several lines
        ('1, "a\n2,fake,2\nb",3\n', []),  # a space before the quote
        ('1,"a\n2,fake,2\n3,fake,3\n"",4\n', []),  # a doubled quote ends nothing
        ('1,"he said "hi" ok",5\n2,real,2\n', ["2"]),  # the cell is closed again
        ("1,6'1\",5\n2,real,2\n", ["2"]),  # an inch mark in a cell without quotes hides no end
        ('1,"abc"x,1\n2,fake,2\n3,"real",3\n4,real,4\n', ["4"]),  # a quoted cell that every reader closes
        (f'1,"{"x" * (MAX_RECORD_BYTES + 5)}\n2,fake,2\n', []),  # longer than is kept
        (f"1,{'x' * (MAX_RECORD_BYTES + 5)}\n2,real,2\n", ["2"]),
    ],
)
def test_rows_are_valid_only_from_the_next_certain_end_of_a_record(broken, valid):
    sinks = io.BytesIO(), io.BytesIO()
    text = f"customerId,name,LTV\n0,real,0\n{broken}"
    split = Split(*sinks)
    report = check_csv(io.BytesIO(text.encode()), ATTRIBUTES, row_sink=split)
    rows = list(csv.reader(io.StringIO(sinks[0].getvalue().decode())))[1:]
    assert [row[0] for row in rows] == ["0", *valid]
    assert (report.valid_rows, split.rows_refused) == (1 + len(valid), report.rows - 1 - len(valid))
    if "fake" in broken:
        assert b"this may be a part of the cell that is broken on line 3" in sinks[1].getvalue()


def test_bytes_that_are_not_utf8_are_located_in_file_row_and_column():
    raw = b'customerId,name,LTV\na,ok,1\nb,"J\nos\xe9",x\nc,M\xfcller,y\xff\n'
    report = check(raw)
    assert [(one.row, one.line, one.column, one.rule) for one in report.findings] == [
        (2, 3, "name", "encoding"),
        (2, 3, "LTV", "long"),
        (3, 5, "name", "encoding"),
        (3, 5, "LTV", "encoding"),
    ]
    assert report.findings[0].value == "J\nos\\xe9"
    assert f"offset {raw.index(0xE9)}" in report.findings[0].message
    assert f"offset {raw.index(0xFC)}" in report.findings[2].message
    assert report.valid_rows == 1
    report.describe().encode()


def test_a_header_that_is_not_utf8():
    report = check(b"customerId,Gr\xf6\xdfe\na,5\n")
    assert [(one.row, one.rule) for one in report.findings] == [(0, "encoding"), (0, "header-unknown")]
    assert {one.column for one in report.findings} == {"Gr\\xf6\\xdfe"}
    assert "offset 13" in report.findings[0].message


def test_a_utf16_file_is_reported_and_not_raised():
    report = check("customerId,LTV\na,5\n".encode("utf-16"))
    assert report.counts["encoding"] == 1
    assert "offset 0" in report.findings[0].message


def test_nul_characters():
    report = check("customerId,name,LTV\na,x\0y,5\nb,z,\0\n")
    assert [(one.row, one.column, one.rule) for one in report.findings] == [(1, "name", "nul"), (2, "LTV", "nul")]
    assert report.valid_rows == 0


def test_tab_separated_text():
    report = check('customerId\tname\tLTV\na\t"x\ty"\t5\nb\ti,j\tx\nc\t "q"\t1\n', delimiter="\t")
    assert [(one.row, one.column, one.rule) for one in report.findings] == [
        (2, "LTV", "long"),
        (3, "name", "quote-space"),
    ]


def test_a_file_of_the_limit_is_refused_and_one_byte_less_is_not():
    text = "customerId,LTV\na,1\n"
    (size,) = check(text, max_bytes=len(text)).findings
    assert (size.rule, size.severity, size.row) == ("size", "error", 0)
    assert check(text, max_bytes=len(text) + 1).findings == []


def test_the_cap_limits_what_is_kept():
    report = check("customerId,LTV\n" + "a,x\n" * 30, max_findings=7)
    assert (len(report.findings), report.counts, report.errors) == (7, {"long": 30}, 30)
    assert report.truncated


@pytest.mark.any_version
@given(
    st.lists(st.tuples(st.sampled_from(["1", "x", "y"]), st.sampled_from(["true", "TRUE", "no", ""])), max_size=60),
    st.integers(0, 40),
)
@settings(max_examples=60, deadline=None)
def test_errors_and_warnings_of_one_column_while_the_room_runs_out(rows, kept):
    lines = [f"c{number},{cell},{active}\n" for number, (cell, active) in enumerate(rows)]
    report = check("customerId,LTV,active\n" + "".join(lines), max_findings=kept)
    assert len(report.findings) <= kept
    assert report.counts.get("long", 0) == sum(cell != "1" for cell, _ in rows)
    assert report.errors == report.total - sum(active == "TRUE" for _, active in rows) - (not rows)


@pytest.mark.parametrize("kept", [0, 1, 150, 1000])
def test_a_wholly_bad_column_among_ragged_rows_and_warnings(kept):
    rows = ["c,x,TRUE\n", "c,y\n", "c,x,no\n", ",1,true\n", "c,1,true\n"] * 60
    report = check("customerId,LTV,active\n" + "".join(rows), max_findings=kept)
    assert report.counts == {"customer-id": 60, "long": 120, "bool": 120, "ragged": 60}
    assert (report.rows, report.valid_rows, report.errors) == (300, 60, 300)


def test_odd_places_while_blocks_before_them_are_looked_at():
    """A quote within a cell ends the regular part of a block: what comes before it is reported before it."""
    rows = [f"c{number},n,{number}\n" for number in range(400)]
    for number in (150, 151, 300):
        rows[number] = f"c{number},6'1\",x\n"
    rows[399] = "c399,n,x\n"
    report = check("customerId,name,LTV\n" + "".join(rows))
    assert [(one.row, one.rule) for one in report.findings] == [
        (151, "quote"),
        (152, "quote"),
        (301, "quote"),
        (400, "long"),
    ]
    assert (report.rows, report.valid_rows) == (400, 396)


def test_progress_is_told_now_and_then_and_at_the_end():
    text = b"customerId,LTV\n" + b"a,1\n" * 10
    told: list[tuple[int, int]] = []
    check_csv(io.BytesIO(text), ATTRIBUTES, Options(block_bytes=20), lambda rows, size: told.append((rows, size)))
    assert told[-1] == (10, len(text))
    assert len(told) > 2
    assert told == sorted(told)


@pytest.mark.parametrize(("length", "rules"), [(MAX_CELL_CHARACTERS, []), (MAX_CELL_CHARACTERS + 2, ["too-long"])])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_long_cell(length, rules, quote):
    report = check(f"customerId,name,LTV\na,{quote}{'x' * (length - 2 * len(quote) - 1)}{quote},1\nb,c,x\n")
    assert [one.rule for one in report.findings] == [*rules, "long"]
    assert report.findings[-1].row == 2


def test_a_record_of_many_long_cells_is_cut_off():
    cells = [f'"{n}\n{"x" * (MAX_CELL_CHARACTERS - 100)}"' for n in range(MAX_RECORD_BYTES // MAX_CELL_CHARACTERS + 2)]
    report = check("customerId,name,LTV\na,b,1\n" + ",".join(cells) + "\n")
    first = report.findings[0]
    assert (first.row, first.line, first.rule) == (2, 3, "quote")
    assert f"longer than {MAX_RECORD_BYTES} bytes" in first.message


def test_a_long_line_is_not_called_badly_encoded_where_it_was_cut():
    report = check("customerId\n" + "é" * (MAX_RECORD_BYTES // 2 + 5) + "\n")
    assert places(report) == [(1, 2, 11, "", "too-long")]


def test_the_csv_modules_limit_is_left_as_it_was():
    before = csv.field_size_limit()
    check("customerId,name\na," + "x" * 2 * MAX_CELL_CHARACTERS + "\n")
    assert csv.field_size_limit() == before


class Endless(io.RawIOBase):
    """A header, one physical line of `size` bytes, and a row; produced as it is read."""

    def __init__(self, size: int) -> None:
        self._parts = iter([b"customerId,LTV\n", *[b"x" * 2**20] * (size // 2**20), b"\n", b"a,x\n"])
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        self._left = self._left or next(self._parts, b"")
        part, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def test_a_line_without_end_is_reported_and_not_kept_in_memory():
    size = 64 * 2**20
    tracemalloc.start()
    report = check_csv(io.BufferedReader(Endless(size)), ATTRIBUTES, Options(block_bytes=2**18))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert places(report) == [(1, 2, 15, "", "too-long"), (2, 3, 16 + size, "LTV", "long")]
    assert len(report.findings[0].value) == 200
    assert report.bytes == 15 + size + 1 + 4
    assert peak < 16 * MAX_RECORD_BYTES


@pytest.mark.any_version
def test_a_quoted_value_without_end_is_not_kept_in_memory():
    rows = 2**15
    lines = io.BytesIO(b'customerId,name\na,"\n' + (b"b," + b"c" * 1021 + b"\n") * rows)
    tracemalloc.start()
    report = check_csv(lines, ATTRIBUTES, Options(block_bytes=2**18))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert places(report)[0] == (1, 2, 16, "name", "quote")
    assert report.counts == {"quote": 1, "after-quote": rows}
    assert (report.rows, report.valid_rows) == (rows + 1, 0)
    assert peak < 16 * MAX_RECORD_BYTES


text_cells = st.text(
    st.sampled_from(["a", "b", '"', ",", "\n", "\r", " ", ";", "é", "\U0001f600"]) | st.characters(codec="utf-8"),
    max_size=12,
).map(lambda cell: cell.replace("\0", ""))
identifiers = st.text("abc01 -\"',\n", min_size=1, max_size=6).filter(str.strip)


@st.composite
def written_files(draw: st.DrawFn) -> tuple[list[list[str]], str, bool]:
    rows = draw(st.lists(st.tuples(identifiers, text_cells, st.integers(-(2**62), 2**62).map(str)), max_size=8))
    line_end, quote_all = draw(st.sampled_from(["\n", "\r\n"])), draw(st.booleans())
    if line_end == "\n" and not quote_all:  # then older csv writers leave a carriage return unquoted
        rows = [(key, name.replace("\r", ""), number) for key, name, number in rows]
    return [list(row) for row in rows], line_end, quote_all


def write(rows: list[list[str]], line_end: str, quote_all: bool) -> tuple[bytes, list[tuple[int, int]]]:
    """The file as the csv module writes it, and the (line, byte) where each data row starts."""
    buffer, starts = io.StringIO(newline=""), []
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    writer = csv.writer(buffer, lineterminator=line_end, quoting=quoting)
    writer.writerow(["customerId", "name", "LTV"])
    for row in rows:
        so_far = buffer.getvalue()
        starts.append((1 + so_far.count("\n"), len(so_far.encode())))
        writer.writerow(row)
    return buffer.getvalue().encode(), starts


@pytest.mark.any_version
@given(written_files())
@settings(max_examples=150, deadline=None)
def test_what_the_csv_module_writes_is_clean(file):
    rows, line_end, quote_all = file
    raw, _ = write(rows, line_end, quote_all)
    report = check(raw)
    assert [one.rule for one in report.findings if one.rule != "null-marker"] == ["header-only"] * (not rows)
    assert (report.rows, report.valid_rows) == (len(rows), len(rows))


@pytest.mark.any_version
@given(written_files(), st.data())
@settings(max_examples=150, deadline=None)
def test_planted_cells_are_found_where_they_are_and_nothing_else_is(file, data):
    rows, line_end, quote_all = file
    planted = data.draw(st.dictionaries(st.integers(0, max(len(rows) - 1, 0)), st.sampled_from(["x", "1.0", "+5"])))
    planted = {row: cell for row, cell in planted.items() if row < len(rows)}
    for row, cell in planted.items():
        rows[row][2] = cell
    raw, starts = write(rows, line_end, quote_all)
    report = check(raw)
    assert [
        (*place, value.value)
        for place, value in zip(places(report), report.findings, strict=True)
        if value.rule != "null-marker"
    ] == [(row + 1, *starts[row], "LTV", "long", planted[row]) for row in sorted(planted)] + [
        (0, 1, 0, "", "header-only", "")
    ] * (not rows)
    assert report.valid_rows == len(rows) - len(planted)


@given(st.text(st.sampled_from(['"', ",", "\n", "\r", " ", "a", "5", "\0", "\ufeff"]), max_size=60), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_to_its_end_with_places_in_order(text, with_header):
    raw = ("customerId,name,LTV\n" * with_header + text).encode()
    report = check(raw)
    assert report.valid_rows <= report.rows <= raw.count(b"\n") + 1
    in_file = in_order(report)
    assert [one.byte for one in in_file] == sorted(one.byte for one in in_file)
    for one in in_file:
        assert one.line == raw[: one.byte].count(b"\n") + 1
        assert one.byte == 0 or raw[one.byte - 1 : one.byte] == b"\n"


@given(st.binary(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_reported_and_not_raised(raw):
    report = check(b"customerId,name,LTV\n" + raw)
    try:
        raw.decode()
    except UnicodeDecodeError:
        assert report.counts["encoding"] >= 1
    else:
        assert "encoding" not in report.counts


def test_the_rules_of_opti_x():
    text = 'id,anything,customerId\n1,x,"a\nb"\n,y,\n 2,z,c\n'
    for size in (1, 4096):
        options = Options(key=Key.of_optix("id"), block_bytes=size)
        report = check_csv(io.BytesIO(text.encode()), None, options)
        assert places(report) == [(2, 4, 33, "id", "key")]
        assert report.findings[0].message == "every row needs its id"


@pytest.mark.parametrize("header", ["ID,x", "x,y", "id,x,id"])
def test_the_key_of_opti_x_is_there_once_and_spelt_as_it_is(header):
    report = check_csv(io.BytesIO(f"{header}\n".encode()), None, Options(key=Key.of_optix("id")))
    assert "header-key" in report.counts


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("customerId\na\nb\r\nc\n", (2, 3, 13)),
        ("customerId\r\na\r\nb\nc\r\n", (2, 3, 15)),
        ('customerId\n"a\r\nb"\nc\r\n', (2, 4, 18)),
        ('customerId\na\nb"c\r\n', (2, 3, 13)),
    ],
)
def test_mixed_line_ends_are_warned_of_once(text, place):
    found = [one for one in check(text).findings if one.rule == "line-ends"]
    assert [(one.row, one.line, one.byte, one.severity) for one in found] == [(*place, "warning")]


@pytest.mark.parametrize(
    "text", ["customerId\na\nb\n", "customerId\r\na\r\nb", 'customerId\na\n"b\r\n"\n', "customerId"]
)
def test_line_ends_of_one_kind_are_fine(text):
    assert "line-ends" not in check(text).counts


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("customerId,name\n1,a\n".encode("utf-16"), "UTF-16, as its byte order mark says"),
        ("customerId,name\n1,Zoë\n".encode("latin-1"), "looks like Latin-1"),
        (b"customerId,name\n1,\x81\n", "not UTF-8: the first"),
    ],
)
def test_another_encoding_is_named_where_it_is_recognised(raw, says):
    assert says in next(one for one in check(raw).findings if one.rule == "encoding").message


def test_a_padded_name_is_called_so():
    report = check("customerId, LTV\n1,2\n")
    assert [(one.rule, one.column) for one in report.findings] == [("header-padded", " LTV")]


@pytest.mark.parametrize(
    "again", ["customerId,name,LTV", "\ufeffcustomerId,name,LTV", '"customerId","name","LTV"', "CUSTOMERID,Name,ltv"]
)
def test_the_header_once_more_is_an_error_and_no_customer(again):
    """Files that were put together with cat, or by a job that appends; a mark of the second file in the middle."""
    report = check(f"customerId,name,LTV\nc1,a,1\n{again}\ncustomerId,b,2\nc3,name,3\n")
    (error,) = report.findings
    assert (error.row, error.rule, error.severity) == (2, "header-repeated", "error")
    assert (report.rows, report.valid_rows) == (4, 3)


@pytest.mark.parametrize("rows", [3, 400_000])
@pytest.mark.parametrize("first", ["\r", "\n"])
def test_lines_that_end_with_cr_alone_are_told_as_that_at_any_size(rows, first):
    report = check_csv(io.BytesIO(f"customerId,LTV{first}".encode() + b"c1,2\r" * rows), ATTRIBUTES, Options())
    assert [one.rule for one in report.findings if one.severity == "error"] == ["bare-cr"]
    assert report.valid_rows == 0


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_another_separator_is_named_in_place_of_what_follows_from_it(separator, quote):
    header = separator.join(f"{quote}{name}{quote}" for name in ("customerId", "LTV"))
    error = check(f"{header}\r\n1{separator}2\r\n").findings[0]
    assert (error.rule, error.row, error.severity) == ("separator", 0, "error")
    assert f"validate --delimiter '{'tab' if separator == chr(9) else separator}'" in error.message


def test_a_column_may_have_a_separator_in_its_name():
    assert check("a;b\n1\n", None, key=Key.of_optix("a;b")).findings == []
