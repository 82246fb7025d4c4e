"""Reports for people and programs: nothing is lost, nothing in a value can act as markup."""

import csv
import io
import json
from html.parser import HTMLParser

import pytest

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.wire.shown import shown
from optimove_provider.records.findings.formats import FORMATS, MANY, SHOWN, groups, visible, write
from optimove_provider.records.validate.validate import Options, check_csv

NASTY = ("<script>alert(1)</script>", "[red]x[/red]", "\x1b[31mx", " 1 ", "a\u202eb", "&amp;", "é\ufffd")


def report(*cells: str, **options):
    rows = "".join(f"{number},{cell}\n" for number, cell in enumerate(cells, 1))
    attributes = [Attribute("n", "long")]
    return check_csv(io.BytesIO(f"customerId,n\n{rows}".encode()), attributes, Options(file="a.csv", **options))


def written(checked, format: str) -> str:
    out = io.StringIO()
    write(checked, format, out)
    return out.getvalue()


class Page(HTMLParser):
    """What a browser would show of each table cell, and which tags there are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self.outside: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.inside = tag in ("td", "th")
        if self.inside:
            self.cells.append("")
        assert not {name for name, _ in attrs} & {"src", "href", "onclick"}

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.cells[-1] += data
        else:
            self.outside.append(data.strip())


def test_json_is_the_report_as_it_is():
    checked = report("x", "1", *NASTY)
    read = json.loads(written(checked, "json"))
    assert read == checked.as_json()
    assert list(read) == ["file", "bytes", "rows", "valid_rows", "findings", "counts", "truncated"]
    assert list(read["findings"][0]) == ["row", "line", "byte", "column", "rule", "value", "message", "severity"]


def test_csv_has_one_finding_a_line_with_its_value_in_it():
    checked = report("x", *NASTY)
    rows = list(csv.DictReader(io.StringIO(written(checked, "csv"))))
    assert [row["value"] for row in rows] == ["x", *map(shown, NASTY)]
    assert [int(row["byte"]) for row in rows] == [finding.byte for finding in checked.findings]


@pytest.mark.parametrize(
    ("value", "written_as"),
    [
        ("=HYPERLINK(A1)", "'=HYPERLINK(A1)"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3+cmd", "'-2+3+cmd"),
        ("  =1+1", "'  =1+1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\t=1", "\\t=1"),
        ("-1.5x", "'-1.5x"),
        ("+1.50", "+1.50"),
        ("a=b", "a=b"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\u202eb", "a\\u202eb"),
        ("a\x9bb", "a\\x9bb"),
    ],
)
def test_a_value_in_csv_is_nothing_that_a_spreadsheet_or_a_terminal_carries_out(value, written_as):
    rows = list(csv.DictReader(io.StringIO(written(report(value), "csv"))))
    assert rows[0]["value"] == written_as


def test_html_shows_every_value_and_runs_none():
    page = Page(written(report("x", *NASTY), "html"))
    for value in NASTY:
        assert visible(value) in page.cells
    assert "script" not in page.tags
    assert "nothing is wrong" in Page(written(report("1"), "html")).outside


def test_html_says_what_it_leaves_out():
    page = written(report(*["x"] * 30, max_findings=7), "html")
    assert "Only the first 7 of 30 findings are listed" in page
    assert page.count('<tr class="error">') == 1 + 7
    assert "Only the first" not in written(report("x"), "html")


def test_text_shows_totals_and_each_finding():
    text = written(report("x", "1", *NASTY), "text")
    assert "9 rows, 1 valid row, 8 errors, 0 warnings" in text
    for value in NASTY:
        assert visible(value) in text
    assert "\x1b" not in text
    assert "findings" not in text


def test_text_groups_many_findings_first():
    cells = ["x", "y", "x", "z", "w"] + ["-9223372036854775808"] + ["v"] * MANY
    text = written(report(*cells), "text")
    assert "x  y  z" in text
    grouped = groups(report(*cells))
    assert [(group.severity, group.count, group.samples) for group in grouped] == [
        ("error", MANY + 5, ("x", "y", "z")),
        ("warning", 1, ("-9223372036854775808",)),
    ]


def test_text_says_what_it_leaves_out():
    assert f"Shown: the first {SHOWN} of 60 findings; the formats json, csv and html list" in written(
        report(*["x"] * 60), "text"
    )
    assert "Shown: the first 3 of 60 findings; 3 were kept" in written(report(*["x"] * 60, max_findings=3), "text")
    assert "Shown" not in written(report("x"), "text")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_text_shows_a_part_of_many_columns_with_findings():
    header = ",".join(f"x{number}" for number in range(1000))
    text = written(check_csv(io.BytesIO(f"customerId,{header}\n".encode()), [], Options(file="a.csv")), "text")
    assert f"Shown: the first {SHOWN} of 1,001 rules and columns with findings; the format html lists them all." in text
    assert text.count("header-unknown") == SHOWN * 2


def test_colour_is_for_terminals_only(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    terminal = Terminal()
    write(report("x"), "text", terminal)
    assert "\x1b[31m" in terminal.getvalue()
    assert "\x1b" not in written(report("x"), "text")


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_that_is_empty_or_right_has_a_report_too(format):
    for checked in (report(), report("1"), check_csv(io.BytesIO(b""), [], Options(file="a.csv"))):
        assert written(checked, format)


@pytest.mark.parametrize(
    ("value", "shown"),
    [("abc", "abc"), ("", "''"), (" a", "' a'"), ("a\tb", r"'a\tb'"), ("\x1b[0m", r"'\x1b[0m'"), ("é b", "é b")],
)
def test_what_would_not_show_is_quoted(value, shown):
    assert visible(value) == shown
