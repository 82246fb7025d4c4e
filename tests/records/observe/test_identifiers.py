"""Warnings about ids: planted cases are found at their place, none is invented, and memory goes to disk."""

import re
import unicodedata
from collections import Counter
from itertools import islice

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.findings.findings import WARNING
from optimove_provider.records.observe.identifiers import ID_RULES, KeyObserver
from optimove_provider.records.repeated.repeated_texts import AT_ONCE

pytestmark = pytest.mark.any_version

COUNTED_AT_THE_END = ("id-case", "id-lookalike", "id-duplicate")


def see(observer, ids, start=0):
    """Show ids as the rows after `start`; a row n is on line 10 n, at the byte 100 n."""
    rows = np.arange(start + 1, start + len(ids) + 1)
    raw = [one if isinstance(one, bytes) else one.encode() for one in ids]
    observer.see(Locations(rows, rows * 10, rows * 100), pa.array(raw, pa.binary()))


def found(ids, sizes=(7,), rules=ID_RULES, at_once=AT_ONCE):
    """(rule, row, value) of every warning, after some checks that hold for all."""
    observer = KeyObserver(0, "customerId", at_once=at_once)
    start = turn = 0
    while start < len(ids):
        size = sizes[turn % len(sizes)]
        see(observer, ids[start : start + size], start)
        start, turn = start + size, turn + 1
    findings = list(observer.findings())
    assert [(one.line, one.byte) for one in findings] == [(10 * one.row, 100 * one.row) for one in findings]
    assert {(one.column, one.severity) for one in findings} <= {("customerId", WARNING)}
    assert [(one.row, ID_RULES.index(one.rule)) for one in findings] == sorted(
        (one.row, ID_RULES.index(one.rule)) for one in findings
    )
    assert dict(observer.counts()) == Counter(one.rule for one in findings)
    assert list(islice(observer.findings(), 3)) == findings[:3]
    observer.close()
    return [(one.rule, one.row, one.value) for one in findings if one.rule in rules]


def look(one):
    """What people see of an id, spelt out another way than in the rule book."""
    shown = ""
    for character in one.replace("\r\n", "\n"):
        if character.isspace():
            shown += " "
        elif unicodedata.category(character) not in {"Cf", "Cc"} and character not in "\u034f\ufe0f":
            shown += character
    return unicodedata.normalize("NFC", shown.strip())


def naive(ids):
    """What is repeated, decided with dicts."""
    expected, first, first_look, first_case = [], {}, {}, {}
    for row, one in enumerate(ids, 1):
        seen = look(one)
        if not seen:
            continue
        if first_case.setdefault(unicodedata.normalize("NFC", seen.casefold()), seen) != seen:
            expected.append(("id-case", row, one[:200]))
        if first_look.setdefault(seen, one) != one:
            expected.append(("id-lookalike", row, one[:200]))
        if first.setdefault(one, row) != row:
            expected.append(("id-duplicate", row, one[:200]))
    return expected


LETTERS = st.sampled_from(
    [
        *("a", "A", "b", "B", "ß", "ss", "SS", "É", "é", "İ", "i", "\u017f", "Д", "д", '"', "\n", " ", "0"),
        *("\u200b", "\u00ad", "\ufeff", "\u0301", "\xa0", "\x00", "\u200e", "\u034f", "\ufe0f"),
    ]
)
ODD = "[\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0e\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
IDS = st.one_of(
    st.lists(LETTERS, max_size=4).map("".join), st.text(max_size=4).filter(lambda one: not re.search(ODD, one))
)


@settings(max_examples=30, deadline=None)
@given(st.lists(IDS, max_size=40), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.sampled_from([20, AT_ONCE]))
def test_repeated_ids_are_those_that_dicts_find(ids, sizes, at_once):
    ids = [one.encode(errors="replace").decode() for one in ids]
    assert found(ids, sizes, COUNTED_AT_THE_END, at_once) == naive(ids)


def test_many_batches_hold_the_same_repeats_as_one():
    ids = [f"user-{number * 7919 % 150_000}" for number in range(200_000)]
    ids[123_456] = "USER-5"
    assert found(ids, (50_000,)) == found(ids, (200_000,), at_once=60_000) == naive(ids)


def test_messages_name_the_row_that_came_first():
    observer = KeyObserver(0, "customerId")
    see(observer, ["x", "ann", "Ann", "x", "Ann"])
    assert [(one.row, one.rule, one.message) for one in observer.findings()] == [
        (3, "id-case", "differs only in case from the id in row 2"),
        (4, "id-duplicate", "the same id as in row 1"),
        (5, "id-case", "differs only in case from the id in row 2"),
        (5, "id-duplicate", "the same id as in row 3"),
    ]
    observer.close()


def test_ids_are_compared_by_their_bytes_quotes_and_line_ends_included():
    assert found(['a "b"', 'a "b" ', "a\nb", "a\r\nb", "a\nb", "é", "e\u0301"], rules=COUNTED_AT_THE_END) == [
        ("id-lookalike", 2, 'a "b" '),
        ("id-lookalike", 4, "a\r\nb"),
        ("id-duplicate", 5, "a\nb"),
        ("id-lookalike", 7, "e\u0301"),
    ]


def test_bytes_that_are_not_utf8_are_compared_and_shown():
    observer = KeyObserver(0, "customerId")
    see(observer, [b"a\xff", b"A\xff", b"a\xff", b"a\xfe"])
    assert [(one.rule, one.row, one.value) for one in observer.findings()] == [
        ("id-case", 2, r"A\xff"),
        ("id-duplicate", 3, r"a\xff"),
    ]
    observer.close()


def test_empty_ids_are_left_to_another_rule():
    assert found(["", "", " ", " ", "\u3000", "\u3000", "\u200b", "\u200b", "\ufeff", "\u00ad\u200e", "\x00"]) == []


def test_no_ids_no_warnings():
    assert found([]) == []


@pytest.mark.parametrize("one", ["1.23457E+11", "1,23457E+11", "1e5", "-1E+05", "5E-07", " 1.2E+11 "])
def test_exponents(one):
    assert ("id-exponent", 2, one) in found(["a", one])


@pytest.mark.parametrize("one", ["12e5", "e5", "1e", "1e5a", "1e1234", "1.2.3e5", "1 e5", "1.e5", "0x1e5", "abc1e5"])
def test_what_is_no_exponent(one):
    assert found(["a", one]) == []


@pytest.mark.parametrize("one", [" a", "a ", "a\t", "\na", "\xa0a", "a\u3000", "é\u2003", " 00123"])
def test_padding(one):
    assert found(["b", one]) == [("id-padding", 2, one)]


@pytest.mark.parametrize("one", ["a b", "é", "àé", "кот", "日本", "👍", "a  b"])
def test_what_is_neither_padding_nor_unseen(one):
    assert found(["b", one]) == []


UNSEEN = {
    "zero width space, as copied from a web page": "a\u200b",
    "zero width joiners": "a\u200db\u200c",
    "soft hyphen, as a word processor leaves it": "00\u00ad123",
    "byte order mark of a file that was appended": "\ufeff00123",
    "direction marks, as a phone's address book adds them": "\u200e+49\u200f",
    "directional isolates": "\u2068a\u2069",
    "word joiner": "\u2060a",
    "tag characters": "a\U000e0041",
    "variation selector": "a\ufe0f",
    "combining grapheme joiner": "a\u034f",
    "controls": "a\x00\x07\x1b\x7f",
    "an accent apart, as macOS writes it": "Zoe\u0308",
    "a no-break space inside": "a\xa0b",
    "a tab inside": "a\tb",
}


def test_what_nobody_sees_is_warned_of_and_makes_lookalikes():
    ids = [f"{one}{number}" for number, one in enumerate(UNSEEN.values())]
    assert found(ids) == [("id-unseen", row, one) for row, one in enumerate(ids, 1)]
    both = [spelling for one in ids for spelling in (look(one), one)]
    assert found(both, rules=["id-lookalike"]) == [("id-lookalike", 2 * n, one) for n, one in enumerate(ids, 1)]


def test_padded_ids_look_like_those_that_are_not():
    """A column of char(8) fills its texts up with spaces."""
    ids = ["c1 ", "c1" + " " * 6, "\xa0c1", "c1\u3000", "c1\t"]
    assert found(["c1", *ids]) == [
        (rule, row, one) for row, one in enumerate(ids, 2) for rule in ("id-padding", "id-lookalike")
    ]


def test_an_id_may_differ_in_case_and_in_what_nobody_sees():
    assert found(["ann", "Ann", "Ann\u200b", "ann\u200b", "ann\u200b"], rules=COUNTED_AT_THE_END) == [
        ("id-case", 2, "Ann"),
        ("id-case", 3, "Ann\u200b"),
        ("id-lookalike", 3, "Ann\u200b"),
        ("id-lookalike", 4, "ann\u200b"),
        ("id-lookalike", 5, "ann\u200b"),
        ("id-duplicate", 5, "ann\u200b"),
    ]


def test_lookalikes_are_shown_escaped_with_the_row_that_came_first():
    observer = KeyObserver(0, "customerId")
    see(observer, ["x", "ann", "ann\u200b"])
    assert [(one.row, one.message) for one in observer.findings()] == [
        (3, "characters that nobody sees, or an uncommon Unicode form, are part of it: 'ann\\u200b'"),
        (3, "differs from the id in row 2 only in what nobody sees: 'ann\\u200b'"),
    ]
    observer.close()


def test_markers_of_null():
    ids = ["\\N", "NULL", "None", "nan", "NaN", "#N/A", "NaT", "(null)", "#REF!", " NULL ", "N/A\u200b"]
    others = ["NA", "nat", "none1", "Nancy", "n", "\\", "nullable", "0"]
    assert found([*others, *ids], rules=["id-null"]) == [("id-null", row, one) for row, one in enumerate(ids, 9)]


def shuffled(numbers, seed=5):
    return [str(one) for one in np.random.default_rng(seed).permutation(numbers)]


def lost(ids):
    return [(row, value) for _, row, value in found(ids, (1000,), ["id-leading-zeros"])]


def test_padded_ids_among_which_some_lost_their_zeros():
    assert lost(["00123", "45678", "4711", "00009", "10000", "9"]) == [(3, "4711"), (6, "9")]


def test_what_is_left_of_nothing_but_zeros_is_suspected_and_a_short_padded_id_is_not():
    assert lost(["00123", "45678", "0471", "00009", "10000", "0"]) == [(6, "0")]


def test_a_few_shorter_ones_among_many_of_one_width():
    ids = [str(one) for one in range(12_345_000, 12_345_100)]
    ids[40] = "2345678"
    assert lost(ids) == [(41, "2345678")]


def test_random_digits_of_one_width_after_a_spreadsheet():
    ids = [f"{one:09d}" for one in np.random.default_rng(3).integers(0, 10**9, 5000)]
    stripped = [str(int(one)) for one in ids]
    planted = [(row, one) for row, one in enumerate(stripped, 1) if one != ids[row - 1]]
    assert len(planted) > 400
    assert lost(stripped) == planted


@pytest.mark.parametrize(
    "ids",
    [
        shuffled(range(1, 1000)),
        shuffled(range(1, 1001)),
        shuffled(range(0, 100_000)),
        shuffled(range(1, 400_000, 40)),
        shuffled(range(95, 1500)),
        [f"{one:08d}" for one in range(5000)],
        [str(one) for one in range(100_000, 100_500)],
        ["00123", "45678", "4711", "c5"],
        ["007", "12345", "1234567"],
        ["1", "22"],
        ["0"],
    ],
)
def test_counters_padded_ids_and_other_ids_lost_nothing(ids):
    assert lost(ids) == []


def test_ids_are_written_to_the_disk_where_nobody_sees_them(tmp_path):
    observer = KeyObserver(0, "customerId", tmp_path, at_once=100_000)
    total, size = 400_000, 100_000
    for start in range(0, total, size):
        see(observer, [f"{'x' * 40}{number % 250_000}" for number in range(start, start + size)], start)
    assert dict(observer.counts()) == {"id-duplicate": 150_000}
    assert [one.row for one in islice(observer.findings(), 5)] == [250_001, 250_002, 250_003, 250_004, 250_005]
    assert [one.row for one in observer.findings()] == list(range(250_001, 400_001))
    assert list(tmp_path.iterdir()) == []
    assert re.fullmatch(r"400,000 ids compared in \d+\.\d s, with 34\.2 MB on disk", observer.cost())
    observer.close()


def test_ids_after_the_answer_are_refused():
    observer = KeyObserver(0, "customerId")
    assert list(observer.counts()) == []
    with pytest.raises(ValueError, match="compared already"):
        see(observer, ["a"])
    observer.close()
    observer.close()


@pytest.mark.parametrize("at_once", [20, AT_ONCE])
def test_the_comparison_says_how_far_it_is(at_once):
    told = []
    observer = KeyObserver(0, "customerId", at_once=at_once, on_compared=lambda done, ids: told.append((done, ids)))
    see(observer, [*(f"c{number}" for number in range(99)), "c7"])
    assert told == []
    list(observer.counts())
    observer.close()
    assert told == sorted(told)
    assert {ids for _, ids in told} == {100}
    assert told[-1] == (100, 100)
    assert len(told) == 1 if at_once == AT_ONCE else len(told) >= 5
