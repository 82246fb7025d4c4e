"""A cell that is called plain is right by its rule, in strict mode too; ordinary cells are called plain."""

import datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.cells.datatypes import EPOCH_MILLISECONDS, RULES, Verdict
from optimove_provider.contract.cells.ids import is_empty_id, is_null_marker
from optimove_provider.records.validate import prefilter

RULE = {rule.name: rule for rule in (*RULES, EPOCH_MILLISECONDS)}
PLAIN = {**prefilter.PLAIN, "key": prefilter.key, "string": prefilter.string}

ORDINARY = {
    "key": ["c1", "1", "-", "~", "a b", "!", "@é"],
    "bool": ["true", "false"],
    "long": ["0", "-0", "7", "10", "-1", "-250", "999999999999999999", "-99999999999999999", "1234567890123456789"],
    "double": [
        "0",
        "-0",
        "7",
        "-1",
        "0.5",
        "-0.25",
        "10.0",
        "1.50",
        "-2.3",
        "123456.789",
        "0.000001",
        "99999999999999.99",
    ],
    "date": ["2022-05-02", "1999-01-31", "1930-12-31", "2024-04-30", "2023-02-28", "1000-01-01", "2999-12-31"],
    "datetime": ["2022-05-02T10:10:59Z", "1999-01-31T00:00:00Z", "2024-04-30T23:59:59Z", "2023-02-28T20:00:00Z"],
    "epoch": ["1651676123", "99999999999", "44582400", "1234567"],
    "epoch_milliseconds": ["1651676123000", "100000000000", "9999999999999"],
    "string": ["c1", "x", "Zoë", "n", "nullify", "12345678", "a b"],
}
EDGES = {
    "long": [sign + str(10**power + step) for power in range(17, 21) for step in (-1, 0, 1) for sign in ("", "-")]
    + [str(sign * (2**63 + step)) for step in range(-3, 4) for sign in (1, -1)]
    + ["8999999999999999999", "9000000000000000000", "-8999999999999999999", "1" * 19, "1" * 20],
    "double": ["0" * 40, "1" * 40, "1" * 400, "0." + "0" * 400 + "1", "1..5", "1.5.5", "-.5", "-0.", "-00.5", "0.5."],
    "date": ["0999-12-31", "3000-01-01", "2024-02-29", "2100-02-29", "0000-01-01"],
    "datetime": ["2024-02-29T10:10:59Z", "2022-05-02T24:00:00Z", "2022-05-02T23:60:00Z", "2022-05-02T23:59:60Z"],
    "string": ["NULL", "null", "\\N", "#N/A", "NaN", "NaT", "nat", "None", "n/a", "-1.#QNAN", "undefined", "1.#ind"],
    "epoch": ["0", "20220502", "19991231", "202205", "2022", "44683", "1", "-1", "-0", "100000000000", "099999999999"],
    "epoch_milliseconds": [
        "20220502101059",
        "100000000000000",
        "-1",
        "0",
        "99999999999",
        "0100000000000",
        "-100000000000",
        "9223372036854775808",
    ],
    "bool": ["tru", "fals", "truee", "falsee", "falsf", "truefalse", "TRUE", "fal\u017fe"],
    "key": [" a", "\ta", "\x7f", "\u00a0", "\u2003", "\x1c", "\x00"],
}
NEAR = "0123456789-+.eETZtz: /\n\t\0xaé\u0662,"

names = pytest.mark.parametrize("name", PLAIN)


def right(name: str, cell: bytes) -> bool:
    text = cell.decode(errors="surrogateescape")
    if name == "key":
        return not is_empty_id(text)
    if name == "string":
        return not is_null_marker(text)
    return not text or RULE[name].judge(text, strict=True) is Verdict.VALID


def plain(name: str, cells: list[bytes], before: list[bytes] = [], after: list[bytes] = []) -> list[bool]:  # noqa: B006
    """Ask about cells that lie within a longer array."""
    column = pa.array([*before, *cells, *after], pa.binary()).slice(len(before), len(cells))
    mask = PLAIN[name](column)
    assert mask.dtype == bool
    assert mask.shape == (len(cells),)
    return mask.tolist()


def wrongly_plain(name: str, cells: list[bytes], **around: list[bytes]) -> list[bytes]:
    said = plain(name, cells, **around)
    return [cell for cell, is_plain in zip(cells, said, strict=True) if is_plain and not right(name, cell)]


def printed(name: str) -> list[str]:
    if name == "key":
        return []
    rule = RULE[name]
    stated = [cell for one in (*rule.disputed, *rule.decided) for cell in one.cells]
    return [*rule.valid, *rule.invalid, *stated]


def known(name: str) -> list[str]:
    return [*ORDINARY[name], *EDGES[name], *printed(name)]


def changed(name: str) -> st.SearchStrategy[str]:
    """A known cell of which a few characters are replaced, left out or doubled."""

    def change(cell: str, at: int, gone: int, new: str) -> str:
        return cell[: at % (len(cell) + 1)] + new + cell[at % (len(cell) + 1) + gone :]

    return st.builds(
        change, st.sampled_from(known(name)), st.integers(0, 20), st.integers(0, 2), st.text(NEAR, max_size=2)
    )


def near(name: str) -> st.SearchStrategy[bytes]:
    """Cells near the edges of a rule: changed ones, such as its pattern matches, days of any month."""
    cells = changed(name)
    if name in RULE:
        cells |= st.from_regex(RULE[name].pattern, fullmatch=True)
    days = st.builds("{:04}-{:02}-{:02}".format, st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32))
    if name == "date":
        cells |= days
    if name == "datetime":
        numbers = st.integers(0, 61)
        cells |= st.builds("{}T{:02}:{:02}:{:02}Z".format, days, st.integers(0, 25), numbers, numbers)
    return cells.map(str.encode) | st.just(b"")


@names
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_what_is_plain_is_right(name, data):
    cells = data.draw(st.lists(near(name), min_size=2, max_size=8))
    start, stop = data.draw(st.tuples(st.integers(0, 2), st.integers(2, 8)))
    assert wrongly_plain(name, cells[start:stop], before=cells[:start], after=cells[stop:]) == []


@names
@given(cells=st.lists(st.binary(max_size=21), max_size=8), before=st.lists(st.binary(max_size=3), max_size=2))
@settings(max_examples=50, deadline=None)
def test_random_bytes_are_plain_only_if_they_are_right(name, cells, before):
    assert wrongly_plain(name, cells, before=before) == []


@names
def test_every_byte_at_every_place(name):
    cells = [cell.encode() for cell in (*ORDINARY[name], *EDGES[name]) if len(cell) < 30]
    bytes_ = [bytes([byte]) for byte in range(256)]
    replaced = [cell[:at] + byte + cell[at + 1 :] for cell in cells for at in range(len(cell) + 1) for byte in bytes_]
    inserted = [cell[:at] + byte + cell[at:] for cell in cells for at in range(len(cell) + 1) for byte in bytes_]
    left_out = [cell[:at] + cell[at + 1 :] for cell in cells for at in range(len(cell))]
    assert wrongly_plain(name, [*replaced, *inserted, *left_out]) == []


@names
def test_known_cells(name):
    assert wrongly_plain(name, [cell.encode() for cell in known(name)]) == []


@names
def test_a_cell_is_judged_by_its_own_bytes_whatever_its_neighbours_are(name):
    cells = [cell.encode() for cell in ("", *known(name), "", "0", ".", "-")]
    alone = [plain(name, [cell])[0] for cell in cells]
    assert plain(name, cells) == alone
    assert plain(name, cells[::-1]) == alone[::-1]
    for cell, is_plain in zip(cells, alone, strict=True):
        for other in (b"", b"0", b".", b"-", b"5", b"\xff"):
            assert plain(name, [other, cell, other])[1] == is_plain
            assert plain(name, [cell], before=[other], after=[other]) == [is_plain]


@names
def test_ordinary_cells_are_plain_and_a_wrong_one_among_them_changes_nothing(name):
    cells = [cell.encode() for cell in ORDINARY[name]]
    assert plain(name, cells) == [True] * len(cells)
    odd = b" " * 7 if name != "string" else b"#REF!"
    assert plain(name, [odd, *cells, odd, odd, *cells]) == [False, *[True] * len(cells), False, False] + [True] * len(
        cells
    )


@names
def test_no_cells(name):
    assert plain(name, []) == []
    assert plain(name, [], before=[b"1"], after=[b"2"]) == []
    assert PLAIN[name](pa.chunked_array([], pa.binary()).combine_chunks()).tolist() == []


@names
def test_empty_cells_are_plain_but_not_as_a_key(name):
    empty = name != "key"
    good = ORDINARY[name][0].encode()
    assert plain(name, [b""]) == [empty]
    assert plain(name, [b"", b"", good, b"", good, b""]) == [empty, empty, True, empty, True, empty]
    assert plain(name, [b""], before=[b"7"], after=[b"7"]) == [empty]


@pytest.mark.parametrize(("name", "time"), [("date", ""), ("datetime", "T10:10:59Z")])
def test_days_of_the_calendar(name, time):
    cells = [f"{year}-{month:02}-{day:02}" for year in (1900, 2000, 2023) for month in range(14) for day in range(33)]
    days = datetime.date(1900, 1, 1), datetime.date(2000, 1, 1), datetime.date(2023, 1, 1)
    calendar = {str(start + datetime.timedelta(n)) for start in days for n in range(366)}
    said = plain(name, [f"{cell}{time}".encode() for cell in cells])
    for cell, is_plain in zip(cells, said, strict=True):
        assert is_plain == (cell in calendar and not cell.endswith("-02-29")), cell


def test_every_rule_but_that_for_text_has_a_function():
    assert set(prefilter.PLAIN) == set(RULE) - {"string"}
