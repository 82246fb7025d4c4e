"""Every value that a PostgreSQL can hold, through both drivers: as it is, or known to be unfit."""

import datetime
import json
import sys
from contextlib import closing, contextmanager, suppress
from decimal import Decimal
from functools import partial

import psycopg2
import pytest

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.read import cursors
from optimove_provider.records.to_csv.write import CsvText
from optimove_provider.records.to_json.encode import Encoder
from optimove_provider.records.to_json.scalars import UnfitValue

UTC = datetime.UTC
DRIVERS = {"psycopg2": psycopg2.connect}
with suppress(ImportError):  # Airflow's provider brings one or both
    import psycopg

    DRIVERS["psycopg"] = psycopg.connect
TYPES = """
CREATE EXTENSION vector;
CREATE TYPE mood AS ENUM ('so-so', 'fine');
CREATE TYPE address AS (street text, number int);
CREATE DOMAIN age AS int CHECK (VALUE >= 0);
CREATE DOMAIN day AS date;
CREATE DOMAIN label AS text;
"""


@pytest.fixture(scope="module")
def database(postgres_server):
    postgres_server.create("values")
    with closing(postgres_server.connect("values")) as connection:
        connection.cursor().execute(TYPES)
        connection.commit()
    return postgres_server.dsn("values")


@pytest.fixture(params=DRIVERS)
def connection(request, database):
    with closing(DRIVERS[request.param](database)) as connection:
        yield connection


def values(connection, sql, parameters=()):
    """The rows as the columns of a batch would get them."""
    with cursors.opened_cursor(connection) as cursor:
        cursor.execute(sql, parameters)
        fetch = cursors._Fetch(cursor)
        fetch.look(cursors.FIRST_ROWS)
        convert = cursors._CONVERTERS[type(connection).__module__.partition(".")[0]](cursor)
        found = [row for rows in cursors._grouped(fetch, sys.maxsize) for row in rows]
        return cursors._by_column(fetch.names, found, convert)


def value(connection, expression):
    """The one value of an expression."""
    ((found,),) = values(connection, f"SELECT {expression} AS v").values()
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("date '0001-01-01'", datetime.date.min),
        ("date '9999-12-31'", datetime.date.max),
        ("'2022-05-02'::day", datetime.date(2022, 5, 2)),
        ("time '23:59:59.999999'", datetime.time.max),
        ("timestamp '2022-05-02 10:10:59.5'", datetime.datetime(2022, 5, 2, 10, 10, 59, 500_000)),
        ("timestamptz '2022-05-02 10:10:59+02'", datetime.datetime(2022, 5, 2, 8, 10, 59, tzinfo=UTC)),
        ("1e90::numeric", Decimal(10**90)),
        ("'Infinity'::float8", float("inf")),
        ("9223372036854775807", 2**63 - 1),
        ("5::age", 5),
        ("'a'::label", "a"),
        ("'so-so'::mood", "so-so"),
        ("""'{"a": "\\u0000", "b": 1e400}'::json""", '{"a": "\\u0000", "b": 1e400}'),
        ("""'{"b": 1.10}'::jsonb""", '{"b": 1.10}'),
        ("inet '10.0.0.1/24'", "10.0.0.1/24"),
        ("inet '::1'", "::1"),
        ("macaddr '08:00:2b:01:02:03'", "08:00:2b:01:02:03"),
        ("'x'::\"char\"", "x"),
        ("ARRAY[1, NULL]", [1, None]),
        ("'[0:1]={1,2}'::int[]", [1, 2]),
        ("ARRAY[true, false]", [True, False]),
        ("ARRAY[0.5::numeric]", [Decimal("0.5")]),
        ("ARRAY['so-so']::mood[]", ["so-so"]),
        ("ARRAY[date '2022-05-02']", [datetime.date(2022, 5, 2)]),
        ("ARRAY['{\"a\": 1}'::jsonb]", ['{"a": 1}']),
        ("ARRAY['00000000-0000-0000-0000-000000000001'::uuid]", ["00000000-0000-0000-0000-000000000001"]),
        ("NULL::money", None),
    ],
)
def test_a_value_arrives_exactly(connection, expression, expected):
    found = value(connection, expression)
    assert found == expected
    assert type(found) in (type(expected), *type(found).__mro__[:2])


@pytest.mark.parametrize(
    ("expression", "shown", "says"),
    [
        ("date 'infinity'", "infinity", "this date has no form"),
        ("date '-infinity'", "-infinity", "this date"),
        ("date '0044-03-15 BC'", "0044-03-15 BC", "this date"),
        ("date '10000-06-23'", "10000-06-23", "this date"),
        ("'infinity'::day", "infinity", "this date"),
        ("time '24:00'", "24:00:00", "this time"),
        ("timestamp 'infinity'", "infinity", "this timestamp"),
        ("timestamp '0044-03-15 BC'", "0044-03-15 00:00:00 BC", "this timestamp"),
        ("timestamptz '-infinity'", "-infinity", "this timestamptz"),
        ("timestamptz '10000-06-23 00:00:00+00'", "10000-06-23 00:00:00+00", "this timestamptz"),
        ("timetz '10:10:59+02'", "10:10:59+02", "v::time"),
        ("interval '1 mon'", "1 mon", "extract(epoch FROM v)"),
        ("interval '1 day'", "1 day", "extract(epoch FROM v)"),
        ("1234.5::money", "$1,234.50", "v::numeric"),
        ("ROW('a', 1)::address", "(a,1)", "to_jsonb(v)"),
        ("ROW(1, 'a')", "(1,a)", "to_jsonb(v)"),
        ("daterange('2022-05-02', 'infinity')", "[2022-05-02,infinity)", "v::text"),
        ("int4multirange(int4range(1, 5))", "{[1,5)}", "v::text"),
        ("'[1,2,3]'::vector", "[1,2,3]", "v::real[]"),
        ("B'101'", "101", "v::text"),
        ("B'101'::varbit", "101", "v::text"),
        ("point '(1,2)'", "(1,2)", "v::text"),
        ("to_tsvector('simple', 'a')", "'a':1", "v::text"),
        ("'1 2'::int2vector", "1 2", "array of int2"),
        ("box '((0,0),(1,1))'", "(1,1),(0,0)", "v::text"),
    ],
)
def test_a_value_without_a_form_is_known_to_be_unfit(connection, expression, shown, says):
    found = value(connection, expression)
    assert isinstance(found, UnfitValue), found
    assert repr(found) == shown
    assert says in found.reason


@pytest.mark.parametrize(
    "expression",
    [
        "ARRAY[date 'infinity']",
        "ARRAY[1::money]",
        "ARRAY[ROW('a', 1)::address]",
        "ARRAY[interval '1 mon']",
        "ARRAY['\\x00'::bytea]",
    ],
)
def test_an_item_without_a_form_is_unfit_in_its_array(connection, expression):
    (found,) = value(connection, expression)
    assert isinstance(found, UnfitValue)


ODD = {
    "d1": "date 'infinity'",
    "d2": "date '0044-03-15 BC'",
    "d3": "date '10000-06-23'",
    "at": "timestamptz '-infinity'",
    "t": "time '24:00'",
    "n1": "'NaN'::numeric",
    "n2": "'Infinity'::numeric",
    "f": "'NaN'::float8",
    "m": "1234.5::money",
    "i": "interval '1 mon'",
    "b": "'\\x00'::bytea",
    "c": "ROW('a', 1)::address",
    "r": "int4range(1, 5)",
    "a": "ARRAY[date '2022-05-02', 'infinity']",
    "v": "'[1,2,3]'::vector",
}


@contextmanager
def executed(connection, sql):
    with cursors.opened_cursor(connection) as cursor:
        cursor.execute(sql)
        yield cursor


def odd_rows():
    """A row for each odd value, where all other columns are null, between two that have none."""
    columns = {
        name: f"CASE WHEN g = {number} THEN {value} END AS {name}"
        for number, (name, value) in enumerate(ODD.items(), 1)
    }
    return f"SELECT 'k' || g AS id, {', '.join(columns.values())} FROM generate_series(0, {len(ODD) + 1}) AS g"  # noqa: S608


def test_only_the_rows_of_odd_values_are_rejected_in_json(connection):
    _, batch = cursors.rows_read_ahead(partial(executed, connection, odd_rows()))
    encoded = Encoder(batch.schema, "id").encode(batch)
    assert encoded.records.to_pylist() == ['{"id":"k0"}', f'{{"id":"k{len(ODD) + 1}"}}']
    assert [(one.column, one.key) for one in encoded.unfit] == [
        (name, f'"k{number}"') for number, name in enumerate(ODD, 1)
    ]
    assert all(one.reason for one in encoded.unfit)


def test_only_the_rows_of_odd_values_are_rejected_in_csv(connection):
    refused = {}
    writing = CsvText(on_unfit=lambda row, reason, text: refused.update({row: reason}))
    text = b"".join(writing.chunks(cursors.rows_read_ahead(partial(executed, connection, odd_rows()))))
    assert [line.split(b",")[0] for line in text.splitlines()[1:]] == [b'"k0"', b'"k%d"' % (len(ODD) + 1)]
    assert [*refused] == [*range(2, len(ODD) + 2)]
    assert all(f"column {name!r}, value " in reason for name, reason in zip(ODD, refused.values(), strict=True))


def test_a_number_of_any_size_travels_beside_others(connection):
    sql = "SELECT n::text AS id, n FROM unnest(ARRAY[1e90, 0.5, 1e-20, 7]) AS n"
    _, batch = cursors.rows_read_ahead(partial(executed, connection, sql))
    records = Encoder(batch.schema, "id").encode(batch).records.to_pylist()
    assert [json.loads(one, parse_float=Decimal)["n"] for one in records] == [
        10**90,
        Decimal("0.5"),
        Decimal("1e-20"),
        7,
    ]


def test_the_one_row_of_five_thousand_is_found(connection):
    """psycopg2 #1533: "year 23848 is out of range" from fetchall(), and no way to find the row that it is in."""
    sql = """SELECT 'k' || g AS id, CASE g WHEN 4711 THEN date '23848-01-01' ELSE date '2022-12-20' END AS at
        FROM generate_series(1, 5000) AS g"""
    _, batch = cursors.rows_read_ahead(partial(executed, connection, sql))
    encoded = Encoder(batch.schema, "id").encode(batch)
    assert len(encoded.records) == 4999
    assert [(one.position, one.column, one.value_repr) for one in encoded.unfit] == [(4710, "at", "23848-01-01")]


def test_a_password_that_never_expires_is_not_one_of_the_year_9999(connection):
    """psycopg #315 and #1251: rolvaliduntil 'infinity' is an error in one driver, and datetime.max in the other."""
    connection.cursor().execute("ALTER ROLE CURRENT_USER VALID UNTIL 'infinity'")
    found = values(connection, "SELECT rolvaliduntil AS until FROM pg_roles WHERE rolname = CURRENT_USER")
    assert [repr(one) for one in found["until"]] == ["infinity"]
    assert all(isinstance(one, UnfitValue) for one in found["until"])


def test_dates_of_every_age(connection):
    """The day's number is the oracle: of those that Python has, it makes the same date."""
    sql = "SELECT n, date '1970-01-01' + n AS day, (date '1970-01-01' + n)::timestamp AS at FROM unnest(%s) AS n"
    days = [
        *range(-720_000, -718_000, 7),
        *range(-500_000, 2_932_000, 100_003),
        *range(2_932_000, 2_934_000, 7),
        2_147_000,
    ]
    found = values(connection, sql, (days,))
    first = datetime.date.min.toordinal() - datetime.date(1970, 1, 1).toordinal()
    last = datetime.date.max.toordinal() - datetime.date(1970, 1, 1).toordinal()
    for number, day, at in zip(*found.values(), strict=True):
        if first <= number <= last:
            assert day == datetime.date(1970, 1, 1) + datetime.timedelta(number)
            assert at == datetime.datetime.combine(day, datetime.time.min)
        else:
            assert isinstance(day, UnfitValue)
            assert isinstance(at, UnfitValue)


def test_texts_in_arrays_are_those_that_the_server_says(connection):
    """JSON that the server writes is the oracle."""
    texts = [
        "",
        "a",
        "NULL",
        "null",
        " ",
        "a b",
        '"',
        "\\",
        '\\"',
        "{",
        "}",
        "{}",
        ",",
        "a,b",
        "é",
        "😀",
        "\n",
        "\t",
        "'",
        "[0:1]=",
    ]
    lists = [texts, texts[::-1], [None, *texts], []]
    each = "SELECT ARRAY(SELECT json_array_elements_text(l)) AS a FROM unnest(%s::json[]) AS l"
    sql = f"SELECT a, array_to_json(a)::text AS j FROM ({each}) AS t"  # noqa: S608
    found = values(connection, sql, ([json.dumps(one) for one in lists],))
    assert len(found["a"]) == len(lists)
    for array, text in zip(*found.values(), strict=True):
        assert array == json.loads(text)


@pytest.mark.parametrize("style", ["German, DMY", "SQL, MDY", "Postgres, YMD"])
def test_however_the_server_writes_dates(connection, style):
    connection.cursor().execute(f"SET datestyle TO '{style}'")
    assert value(connection, "date '2022-05-02'") == datetime.date(2022, 5, 2)


def test_what_the_server_refuses_in_the_middle_is_about_the_data(connection):
    with cursors.opened_cursor(connection) as cursor:
        cursor.execute("SELECT g AS id, 1 / (200 - g) AS share FROM generate_series(1, 300) AS g")
        with pytest.raises(
            DataError, match=r"the query, rows 156 to .*division by zero.* 'id', 'share'.* in the query"
        ):
            list(cursors.cursor_rows(cursor))


def test_a_lost_connection_is_no_fault_of_the_data(connection, postgres_server):
    with cursors.opened_cursor(connection) as cursor:
        cursor.execute("SELECT pg_backend_pid() AS pid, g FROM generate_series(1, 100000) AS g")
        rows = cursors.cursor_rows(cursor)
        next(rows)
        pid = next(rows).column("pid")[0].as_py()
        with closing(postgres_server.connect("values")) as other:
            other.cursor().execute("SELECT pg_terminate_backend(%s)", [pid])
        with pytest.raises(Exception, match=r"terminat|closed|lost") as raised:
            list(rows)
    assert not isinstance(raised.value, DataError)
