"""The rule table against the vendor's printed examples, its own cells, and naive second opinions."""

import datetime
import json
import math
import struct
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.cells.datatypes import (
    MAX_IMPORT_BYTES,
    RULES,
    Attribute,
    Rule,
    Verdict,
    is_key_column,
    rule_for,
)
from optimove_provider.contract.cells.rules import TINY, plain_digits
from optimove_provider.contract.cells.values import comparable

VENDOR = json.loads(Path(__file__).parents[2].joinpath("data/vendor/csv_datatypes.json").read_text("utf-8"))
VALID, DISPUTED, INVALID = Verdict.VALID, Verdict.DISPUTED, Verdict.INVALID
BY_NAME = {rule.name: rule for rule in RULES}


def printed(verdict: str, table: dict) -> list[str]:
    return [row["cell"] for row in table["rows"] if row["verdict"] == verdict]


@pytest.mark.parametrize("table", VENDOR["tables"], ids=lambda table: table["title"])
def test_the_vendors_printed_cells_are_the_tables_and_are_judged_as_printed(table):
    rule = rule_for(table["datatype"], table["format"])
    assert list(rule.valid) == printed("valid", table)
    assert list(rule.invalid) == printed("invalid", table)
    assert table["sentence"] in rule.source
    assert INVALID not in [rule.judge(cell) for cell in rule.valid]
    assert {rule.judge(cell) for cell in rule.invalid} == {INVALID}


def test_every_printed_table_has_one_rule_and_string_has_no_table():
    tables = {(table["datatype"], table["format"]) for table in VENDOR["tables"]}
    assert {(rule.datatype, rule.format) for rule in RULES} == tables | {("string", None)}
    assert [rule.name for rule in RULES] == ["bool", "long", "double", "date", "datetime", "epoch", "string"]


def test_strict_refuses_printed_valid_cells_only_where_the_vendors_text_does():
    refused = [(rule.name, cell) for rule in RULES for cell in rule.valid if rule.judge(cell, True) is INVALID]
    printed = [("bool", "True"), ("bool", "TRUE"), ("datetime", "1999-01-01T00:00:00"), ("epoch", "0")]
    assert refused == printed


DISPUTES = [(rule, dispute, cell) for rule in RULES for dispute in rule.disputed for cell in dispute.cells]
DECISIONS = [(rule, decision, cell) for rule in RULES for decision in rule.decided for cell in decision.cells]


@pytest.mark.parametrize(("rule", "dispute", "cell"), DISPUTES, ids=lambda value: repr(value)[:40])
def test_disputed_cells(rule, dispute, cell):
    assert rule.judge(cell) is dispute.lenient
    assert rule.judge(cell, strict=True) is dispute.strict
    assert dispute.lenient is not DISPUTED or rule.doubt_about(cell) == dispute.decision


@pytest.mark.parametrize(("rule", "dispute", "cell"), DISPUTES, ids=lambda value: repr(value)[:40])
def test_a_disputed_cell_has_the_same_value_in_its_undisputed_form_if_there_is_one(rule, dispute, cell):
    """None has an integer, an instant, or a number that is too small: there the form is not what is disputed."""
    other = rule.undisputed(cell)
    has_none = rule.datatype == "long" or rule.format == "epoch" or dispute.decision == TINY
    if dispute.lenient is not DISPUTED or has_none:
        assert rule.judge(other) is rule.judge(cell)
    else:
        assert rule.judge(other, strict=True) is VALID
    assert comparable(Attribute("a", rule.datatype, rule.format), other) == comparable(
        Attribute("a", rule.datatype, rule.format), cell
    )
    assert rule.undisputed(other) == other


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([repr, "{:e}".format, "{:.25E}".format, str]))
def test_plain_digits_are_the_same_double(number, written):
    cell = plain_digits(written(number))
    assert set(cell) <= set("-.0123456789")
    assert struct.pack("d", float(cell)) == struct.pack("d", float(written(number)))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1e-07", "0.0000001"),
        ("1e+16", "10000000000000000"),
        ("-1.50E1", "-15.0"),
        ("0e5", "0"),
        ("-0.00e-99999999999999999999", "-0"),
        ("0e99999999999999999999", "0"),
        ("1e99999999999999999999", "1e99999999999999999999"),
        ("1E+999999", "1E+999999"),
        ("1.5", "1.5"),
    ],
)
def test_plain_digits_of_what_is_written_oddly(text, plain):
    assert plain_digits(text) == plain


@pytest.mark.parametrize(("rule", "decision", "cell"), DECISIONS, ids=lambda value: repr(value)[:40])
def test_our_own_decisions_are_the_same_in_both_modes(rule, decision, cell):
    assert rule.judge(cell) is rule.judge(cell, strict=True) is decision.verdict


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_cell_stands_on_one_ground_only(rule):
    ours = [cell for decision in rule.decided for cell in decision.cells]
    vendors = {*rule.valid, *rule.invalid, *(cell for dispute in rule.disputed for cell in dispute.cells)}
    assert len(ours) == len(set(ours))
    assert not vendors.intersection(ours)


# Second opinions: each is written from the vendor's words and our decisions, without the table's pattern.


def naive_bool(cell: str) -> Verdict:
    if cell in ("true", "false"):
        return VALID
    return DISPUTED if cell.isascii() and cell.lower() in ("true", "false") else INVALID


def naive_long(cell: str) -> Verdict:
    digits = cell.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or (len(digits) > 1 and digits[0] == "0"):
        return INVALID
    value = int(cell)
    if value == -(2**63):
        return DISPUTED
    return VALID if -(2**63) < value < 2**63 else INVALID


def naive_epoch(cell: str) -> Verdict:
    if cell.startswith("-") or naive_long(cell) is not VALID:
        return INVALID
    if len(cell) >= 12:
        return DISPUTED
    dates = naive_day(cell, "%Y%m%d") or naive_day(cell, "%Y%m")
    is_date = dates and len(cell) in (6, 8) and cell[:2] in ("19", "20", "21")
    if cell == "0":
        return DISPUTED
    return Verdict.IMPLAUSIBLE if is_date or len(cell) <= 5 else VALID


def naive_double(cell: str) -> Verdict:
    try:
        read = json.loads(cell)
    except ValueError:
        return INVALID
    number = isinstance(read, int | float) and not isinstance(read, bool)
    if not number or cell != cell.strip() or not math.isfinite(float(cell)):
        return INVALID
    stored = abs(Fraction(float(cell)))
    if not stored and Decimal(cell):
        return INVALID
    return DISPUTED if "e" in cell.lower() or 0 < stored < Fraction(1, 2**1023) else VALID


def naive_day(cell: str, form: str) -> bool:
    try:
        return cell.isascii() and datetime.datetime.strptime(cell, form).strftime(form).zfill(len(cell)) == cell
    except ValueError:
        return False


def naive_date(cell: str) -> Verdict:
    return VALID if len(cell) == 10 and naive_day(cell, "%Y-%m-%d") else INVALID


def naive_datetime(cell: str) -> Verdict:
    if len(cell) == 20 and naive_day(cell, "%Y-%m-%dT%H:%M:%SZ"):
        return VALID
    return DISPUTED if len(cell) == 19 and naive_day(cell, "%Y-%m-%dT%H:%M:%S") else INVALID


NAIVE = {
    "bool": naive_bool,
    "long": naive_long,
    "double": naive_double,
    "date": naive_date,
    "datetime": naive_datetime,
    "epoch": naive_epoch,
    "string": lambda cell: VALID,
}
EVERY_CELL = [
    cell
    for rule in RULES
    for group in (rule, *rule.disputed, *rule.decided)
    for cell in (rule.valid + rule.invalid if isinstance(group, Rule) else group.cells)
]
numbers = st.integers(-(2**64), 2**64) | st.integers(-10, 10).map(lambda n: 2**63 + n)
near = st.one_of(
    st.sampled_from(EVERY_CELL),
    numbers.map(str) | numbers.map(lambda n: str(-n)),
    st.floats().map(repr),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.from_regex(r"\A[+-]?0?\d{0,3}\.?\d{0,3}([eE][+-]?\d{1,3})?\Z"),
    st.dates().map(str),
    st.datetimes(timezones=st.none()).map(lambda moment: moment.isoformat() + "Z"),
    st.from_regex(r"\A\d{4}-[01]\d-[0-3]\d(T[0-2]\d:[0-6]\d:[0-6]\d[Zz]?)?\Z"),
    st.sampled_from(["true", "false"]).flatmap(
        lambda word: st.tuples(*[st.sampled_from([c, c.upper()]) for c in word]).map("".join)
    ),
    st.text(max_size=12),
)


@st.composite
def cells(draw: st.DrawFn) -> str:
    """A cell near the border of some rule: one of the above, now and then with one character put in or out."""
    cell = draw(near)
    place = draw(st.integers(0, len(cell)))
    change = draw(st.sampled_from(["no", "no", "insert", "delete"]))
    if change == "insert":
        extra = draw(st.sampled_from([" ", "\n", "_", "+", "-", ".", "0", "9", "\u0663", "e", "Z", "T", ":"]))
        cell = cell[:place] + extra + cell[place:]
    elif change == "delete":
        cell = cell[:place] + cell[place + 1 :]
    return cell


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@given(cell=cells())
@settings(max_examples=200, deadline=None)
def test_each_rule_agrees_with_a_naive_second_opinion(rule, cell):
    expected = NAIVE[rule.name](cell)
    assert rule.judge(cell) is expected
    assert rule.judge(cell, strict=True) is (INVALID if expected is DISPUTED else expected)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_second_opinions_agree_on_every_cell_of_the_table(rule):
    assert {cell: rule.judge(cell) for cell in EVERY_CELL} == {cell: NAIVE[rule.name](cell) for cell in EVERY_CELL}


def test_endless_digits_are_judged_not_raised():
    judged = {rule.name: rule.judge("9" * 100_000) for rule in RULES}
    assert judged == {name: VALID if name == "string" else INVALID for name in BY_NAME}
    assert rule_for("double").judge("0." + "0" * 400 + "1") is INVALID
    assert rule_for("double").judge("1" + "0" * 300) is VALID


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.bounds], ids=lambda rule: rule.name)
def test_bounds_are_the_last_values_taken(rule):
    low, high = rule.bounds
    assert INVALID not in [rule.judge(repr(bound)) for bound in rule.bounds]
    if isinstance(high, int):
        assert {rule.judge(str(low - 1), True), rule.judge(str(high + 1), True)} == {INVALID}
    else:
        assert {rule.judge("1.8e308"), rule.judge("-1.8e308")} == {INVALID}


def test_rule_for_names_what_is_wrong():
    assert rule_for("long", "ignored").name == "long"
    with pytest.raises(ValueError, match=r"datatype 'text' is unknown: one of bool, long, double, datetime, string"):
        rule_for("text")
    with pytest.raises(ValueError, match=r"format is missing: datatype datetime needs one of yyyy-mm-dd, "):
        rule_for("datetime")
    with pytest.raises(ValueError, match="format 'dd/mm/yyyy' is unknown"):
        rule_for("datetime", "dd/mm/yyyy")


def test_attribute_from_the_endpoints_json():
    sent = {
        "id": 789,
        "dcp_datasource_id": 678,
        "name": "Life-time value",
        "datatype": "datetime",
        "format": "epoch",
        "description": None,
        "is_value_public": False,
        "archived": True,
        "version": 3,
    }
    attribute = Attribute.from_json(sent)
    assert attribute == Attribute("Life-time value", "datetime", "epoch", archived=True)
    assert attribute.rule is BY_NAME["epoch"]
    assert Attribute.from_json({"name": "x", "datatype": "bool", "format": ""}).format is None


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"datatype": "long"}, "name is missing"),
        ({"name": "", "datatype": "long"}, "name is missing"),
        ({"name": 5, "datatype": "long"}, "name is missing or no text"),
        ({"name": "LTV"}, "'LTV'.*datatype is missing"),
        ({"name": "LTV", "datatype": "Text"}, "attribute 'LTV': datatype 'Text' is unknown"),
        ({"name": "seen", "datatype": "datetime"}, "attribute 'seen': format is missing"),
        ({"name": "seen", "datatype": "datetime", "format": "iso"}, "attribute 'seen': format 'iso' is unknown"),
    ],
)
def test_attribute_says_what_is_wrong(mapping, message):
    with pytest.raises(ValueError, match=message):
        Attribute.from_json(mapping)


def test_key_column_in_any_case_and_the_size_limit():
    assert [is_key_column(name) for name in ("customerId", "CUSTOMERID", "customerid")] == [True] * 3
    assert not any(is_key_column(name) for name in ("customer_id", " customerId", "", "customerId "))
    assert MAX_IMPORT_BYTES == 10_000_000_000
