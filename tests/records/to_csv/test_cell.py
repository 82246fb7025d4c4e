"""A single value as the text of a CSV cell."""

import datetime
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.records.to_csv.cell import csv_value

NOON = datetime.datetime(2022, 5, 2, 12)
EAST = datetime.timezone(datetime.timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-(2**63), "-9223372036854775808"),
        (0.1, "0.1"),
        (Decimal("1E-10"), "0.0000000001"),
        ('say "x", 1', 'say "x", 1'),
        (datetime.date(2022, 5, 2), "2022-05-02"),
        (NOON, "2022-05-02T12:00:00Z"),
        (NOON.replace(tzinfo=EAST), "2022-05-02T10:00:00Z"),
    ],
)
def test_the_text_of_a_value(value, text):
    assert csv_value(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_reads_back_the_same(value):
    assert float(csv_value(value)) == value


@pytest.mark.parametrize("value", [[], {}, [1], b"x", datetime.time(1), datetime.timedelta(1), object()])
def test_what_has_no_form_is_refused(value):
    with pytest.raises(ValueError, match="has no form in CSV"):
        csv_value(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, Decimal("-Infinity")])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="NaN and infinities"):
        csv_value(value)
