"""Faults planted in a large generated file are found, each at its row, line and byte; nothing else is."""

import csv
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.attributes import ATTRIBUTES, HEADER
from benchmarks.generate import BAD, WHOLLY_BAD, generate, quoted
from optimove_provider.contract.cells.datatypes import RULES, Attribute
from optimove_provider.records.findings.findings import Findings
from optimove_provider.records.validate.validate import Options, check_csv
from tests.support import oracle

pytestmark = pytest.mark.any_version

RULE_OF = {one.name: one.rule.name for one in ATTRIBUTES} | {"customerId": "customer-id"}
BLOCKS = [1 << 10, 1 << 16, 4 << 20]
ROWS = 20_000

GOOD = "c1,true,5,1.5,2022-05-02,2022-05-02T10:10:59Z,1651676123,"
Location = tuple[int, int, int, str, str]


@dataclass(frozen=True)
class Oddity:
    """A record to plant, and the (column, rule) of its one fault; a blank line is no row."""

    record: bytes
    column: str = ""
    rule: str = ""
    is_row: bool = True
    hides_end: bool = False


def with_note(note: str, rule: str, hides_end: bool = False) -> Oddity:
    return Oddity(f"{GOOD}{note}\n".encode(), "note", rule, hides_end=hides_end)


ODDITIES = [
    Oddity(b"c1,true,5\n", rule="ragged"),
    Oddity(f"{GOOD}note,one more\n".encode(), rule="ragged"),
    Oddity(b'"c\n1",true\n', rule="ragged"),
    Oddity(b"\n", rule="blank-line", is_row=False),
    Oddity(b"\r\n", rule="blank-line", is_row=False),
    with_note("6'1\"", "quote"),
    with_note('"x"y', "quote", hides_end=True),
    with_note('"a\nb" c', "quote", hides_end=True),
    with_note(' "x"', "quote-space"),
    with_note('"opened', "quote", hides_end=True),
    with_note("a\0b", "nul"),
    with_note('"a\n\0b"', "nul"),
    with_note("x\ry", "bare-cr"),
    Oddity(f"{GOOD}J".encode() + b"os\xe9\n", "note", "encoding"),
    Oddity(GOOD.encode() + b'"\xff\n"\r\n', "note", "encoding"),
    Oddity(f"{GOOD}plain\r\n".encode()),
    Oddity(f'{GOOD}"a\r\nb"\r\n'.encode()),
    Oddity(f"{GOOD}\n".replace(",5,", ",x,").encode(), "points", "long"),
    Oddity(f"{GOOD}\r\n".replace(",5,", ",1.0,").encode(), "points", "long"),
    Oddity(f"{GOOD}\r\n".replace("c1", " ").encode(), "customerId", "customer-id"),
]


def generated(rows: int, **options) -> tuple[list[bytes], dict[int, list[str]]]:
    """The records of a generated file, the header first, and the columns in which a row has planted faults."""
    out, truth = io.BytesIO(), io.BytesIO()
    generate(out, truth, rows, **options)
    faults = [tuple(map(int, line.split(b","))) for line in truth.getvalue().splitlines()]
    by_row = {row: [HEADER[column] for _, column in group] for row, group in groupby(faults, lambda one: one[0])}
    return list(records(out.getvalue())), by_row


def records(raw: bytes) -> Iterator[bytes]:
    """Cut regular text: a record ends with the first line after which the number of its quotes is even."""
    record = b""
    for line in io.BytesIO(raw):
        record += line
        if record.count(b'"') % 2 == 0:
            yield record
            record = b""


def places(report: Findings) -> list[Location]:
    return [(one.row, one.line, one.byte, one.column, one.rule) for one in report.findings if one.rule != "line-ends"]


def planted_file(every: int) -> tuple[bytes, list[Location], int, int]:
    """A file with bad cells and, `every` so many rows, an oddity; the faults; the rows; those without a fault."""
    cut, faults = generated(ROWS, share=0.003)
    raw, expected = [cut[0]], []
    row, line, byte, clean = 0, 2, len(cut[0]), 0
    for number, record in enumerate(cut[1:], 1):
        here = [(Oddity(record), [(name, RULE_OF[name]) for name in faults.get(number, [])])]
        if number % every == 0:
            # A record that reads as a row by itself follows, with a cell that ends however the quotes before it are
            # read: the rows after it are certain again. And no generated cell begins with a line feed: its quote would
            # close a quote that is open as RFC 4180 wants it.
            odd = ODDITIES[number // every % len(ODDITIES)]
            after = [("", "after-quote")] * odd.hides_end
            here += [(odd, [(odd.column, odd.rule)] if odd.rule else []), (Oddity(f'{GOOD}"plain"\n'.encode()), after)]
        for one, wrong in here:
            row += one.is_row
            expected += [(row if one.is_row else 0, line, byte, *where) for where in wrong]
            clean += one.is_row and not wrong
            raw.append(one.record)
            line, byte = line + one.record.count(b"\n"), byte + len(one.record)
    return b"".join(raw), expected, row, clean


@pytest.mark.parametrize("every", [7, 500])
def test_every_planted_fault_is_found_at_its_place_and_none_is_invented(every):
    raw, expected, rows, clean = planted_file(every)
    rules = {one.rule for one in ODDITIES if one.rule} | {"after-quote"} | set(RULE_OF.values()) - {"string"}
    assert {rule for *_, rule in expected} == rules
    for block_bytes in BLOCKS if every > 100 else BLOCKS[1:]:
        options = Options(strict=True, max_findings=len(expected) + 100, block_bytes=block_bytes)
        report = check_csv(io.BytesIO(raw), ATTRIBUTES, options)
        assert places(report) == expected, block_bytes
        assert (report.rows, report.valid_rows, report.bytes) == (rows, clean, len(raw))
        assert report.total - report.counts.get("line-ends", 0) == len(expected)


@pytest.mark.parametrize("column", WHOLLY_BAD)
def test_a_column_of_which_every_cell_is_bad(column):
    cut, faults = generated(2_000, wholly_bad=column)
    expected = [(row, name) for row, names in faults.items() for name in names]
    assert sum(name == column for _, name in expected) == 2_000
    for kept in (100, 10_000):
        report = check_csv(io.BytesIO(b"".join(cut)), ATTRIBUTES, Options(max_findings=kept, block_bytes=1 << 14))
        assert [(one.row, one.column) for one in report.findings] == expected[:kept]
        assert report.total == len(expected)
        assert report.counts[RULE_OF[column]] == sum(RULE_OF[name] == RULE_OF[column] for _, name in expected)


def test_the_generated_truth_is_what_the_oracle_finds():
    cut, faults = generated(5_000, share=0.02, seed=7)
    found = [(row, column) for row, column, _ in oracle.check(b"".join(cut), RULE_OF, strict=True)]
    assert found == [(row, name) for row, names in faults.items() for name in names]
    again, other = generated(5_000, share=0.02, seed=7), generated(5_000, share=0.02, seed=8)
    assert (again, other == again) == ((cut, faults), False)


TRICKY = sorted(
    {cell for rule in RULES for cell in (*rule.valid, *rule.invalid)}
    | {cell for rule in RULES for one in (*rule.disputed, *rule.decided) for cell in one.cells}
    | {cell for cells in BAD.values() for cell in cells}
    | {str(sign * (2**63 + step)) for step in (-2, -1, 0, 1) for sign in (1, -1)}
    | {"", " ", "\u3000", "\x1f", "-", ".", "e", "Z", "T", "NaN", "-0.0", "0e0", "0e-999", "1e-5", "-0.5", "1E+2"}
    | {"9999-12-31T23:59:59Z", "2000-02-29", "2100-02-29", "2022-12-31T23:59:59", "99999999999", "1" * 19, "a,b"}
    | {'"', '""', 'a"b', "a\nb", "a\r\nb", "\n", ",", "é", "\U0001f600", "\ufeff1", "1\u2028"}
)


def written(rows: list[tuple[str, ...]], quoting: int, line_end: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator=line_end).writerows([HEADER, *rows])
    return text.getvalue().encode()


def agrees_with_the_oracle(raw: bytes, strict: bool, block_bytes: int) -> None:
    expected = list(oracle.check(raw, RULE_OF, strict))
    options = Options(strict=strict, block_bytes=block_bytes, max_findings=len(expected) + 100)
    report = check_csv(io.BytesIO(raw), ATTRIBUTES, options)
    assert [(one.row, one.column, one.severity) for one in report.findings] == expected
    refused = {row for row, _, severity in expected if severity == oracle.ERROR}
    assert report.valid_rows == report.rows - len(refused)


cells = st.sampled_from(TRICKY)


@given(
    st.lists(st.tuples(*[cells] * len(HEADER)), max_size=8),
    st.booleans(),
    st.sampled_from([1, 100, 1 << 16]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from(["\n", "\r\n"]),
)
@settings(max_examples=300, deadline=None)
def test_tricky_cells_are_judged_as_the_oracle_judges_them(rows, strict, block_bytes, quoting, line_end):
    agrees_with_the_oracle(written(rows, quoting, line_end), strict, block_bytes)


@pytest.mark.parametrize("strict", [False, True])
def test_every_tricky_cell_in_every_column(strict):
    rows = [tuple([cell] * len(HEADER)) for cell in TRICKY]
    agrees_with_the_oracle(written(rows, csv.QUOTE_ALL, "\n"), strict, 4 << 20)
    agrees_with_the_oracle(written(rows, csv.QUOTE_MINIMAL, "\r\n"), strict, 100)


def test_cells_are_quoted_where_they_must_be():
    tricky = [cell for cell in TRICKY if "\r" not in cell]
    assert next(csv.reader(io.StringIO(",".join(map(quoted, tricky)), newline=""))) == tricky


def test_rows_after_a_quote_that_is_never_closed_take_no_time_for_what_follows():
    """A report of others: a csv cut off in a quoted note takes hours. Each row looked at the whole rest of the file."""
    rows, begun = 30_000, time.process_time()
    report = check_csv(
        io.BytesIO(b'customerId,LTV\na,"' + b"1,2\n" * rows), [Attribute("LTV", "long", None)], Options()
    )
    assert (report.rows, report.valid_rows, report.counts["after-quote"]) == (rows, 0, rows - 1)
    assert time.process_time() - begun < 20  # it was 50 s, and four times that for twice as many
