"""Texts of PostgreSQL as values, without a server: what is no such text, and what only looks like a value."""

import datetime
from decimal import Decimal

import pytest

from optimove_provider.records.read.drivers.postgres_text import PgType, converter
from optimove_provider.records.to_json.scalars import UnfitValue

UTC = datetime.UTC


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("date", "2022-05-02", datetime.date(2022, 5, 2)),
        ("date", "0001-01-01", datetime.date.min),
        ("date", "9999-12-31", datetime.date.max),
        ("time", "23:59:59.999999", datetime.time.max),
        ("timestamp", "2022-05-02 10:10:59.5", datetime.datetime(2022, 5, 2, 10, 10, 59, 500_000)),
        ("timestamptz", "2022-05-02 10:10:59+05:45", datetime.datetime(2022, 5, 2, 4, 25, 59, tzinfo=UTC)),
        ("timestamptz", "1890-01-01 00:00:00+00:19:32", datetime.datetime(1889, 12, 31, 23, 40, 28, tzinfo=UTC)),
        ("numeric", "1" + "0" * 90, Decimal(10**90)),
        ("inet", "10.0.0.1/24", "10.0.0.1/24"),
        ("super", '{"a":1}', '{"a":1}'),
    ],
)
def test_what_a_text_says_is_the_value(name, text, value):
    assert converter(PgType(name))(text) == value


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        (
            "date",
            [
                "infinity",
                "-infinity",
                "0044-03-15 BC",
                "10000-06-23",
                "05/02/2022",
                "2022-W18-1",
                "20220502",
                "0000-01-01",
            ],
        ),
        ("time", ["24:00:00", "24:00", "10:10", "10:10:59+02", "10:10:60"]),
        (
            "timestamp",
            ["infinity", "0044-03-15 00:00:00 BC", "10000-06-23 00:00:00", "2022-05-02", "2022-05-02 24:00:00"],
        ),
        ("timestamptz", ["-infinity", "2022-05-02 10:10:59", "2022-05-02 10:10:59 CEST", "2022-05-02 10:10:59+02 BC"]),
        ("bool", ["maybe"]),
        ("int4", ["1.5", ""]),
        ("money", ["$1,234.50", "1.234,50 €"]),
        ("interval", ["1 mon", "P1M", "infinity"]),
        ("timetz", ["10:10:59+02"]),
        ("bit", ["101"]),
        ("int4range", ["[1,5)", "empty"]),
        ("tsvector", ["'a' 'b'"]),
        ("point", ["(1,2)"]),
    ],
)
def test_what_has_no_form_is_shown_as_it_is(name, texts):
    for text in texts:
        value = converter(PgType(name))(text)
        assert isinstance(value, UnfitValue)
        assert repr(value) == text
        assert name in value.reason
        assert "cast it" in value.reason


@pytest.mark.parametrize(
    ("type_", "cast"),
    [
        (PgType("money"), "it::numeric"),
        (PgType("hstore"), "hstore_to_jsonb(it)"),
        (PgType("interval"), "extract(epoch FROM it)"),
        (PgType("address", is_composite=True), "to_jsonb(it)"),
        (PgType("ltree"), "it::text"),
    ],
)
def test_the_cast_that_says_the_same_is_named(type_, cast):
    assert converter(type_)("?").reason.endswith(f"cast it in the query, as {cast}")


def test_the_label_of_an_enum_is_a_text():
    assert converter(PgType("mood", is_enum=True))("so-so") == "so-so"


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("{}", []),
        ("{1,NULL,3}", [1, None, 3]),
        ("{{1,2},{3,4}}", [[1, 2], [3, 4]]),
        ("[0:1]={1,2}", [1, 2]),
        ("[-2:-1][0:0]={{1},{2}}", [[1], [2]]),
    ],
)
def test_an_array_is_a_list(text, items):
    assert converter(PgType("_int4", element=PgType("int4")))(text) == items


def test_texts_in_an_array_keep_every_character():
    text = r'{a,"NULL","",NULL,"a\"b\\c","{}","x,y"," z "}'
    assert converter(PgType("_text", element=PgType("text")))(text) == [
        "a",
        "NULL",
        "",
        None,
        'a"b\\c',
        "{}",
        "x,y",
        " z ",
    ]


@pytest.mark.parametrize("text", ["", "1 2", "{", "{1", "{1,", "{1}x", "{,1}", '{"a}', "{1 2}{", "{" * 5000])
def test_what_is_no_array_is_unfit(text):
    value = converter(PgType("_int4", element=PgType("int4")))(text)
    assert isinstance(value, UnfitValue)
    assert "array of int4" in value.reason


def test_an_item_without_a_form_is_unfit_in_its_place():
    first, second = converter(PgType("_date", element=PgType("date")))("{2022-05-02,infinity}")
    assert first == datetime.date(2022, 5, 2)
    assert (repr(second), isinstance(second, UnfitValue)) == ("infinity", True)
