"""What one option may be: as a DAG states it, and as a template gives it."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.kinds import ANY_REJECTED, FLAG, MAX_REJECTED, SHARE, SPAN, TTL_SECONDS, is_template, one_of

MODE = one_of(("full", "changed"))
NAN, INFINITE = float("nan"), float("inf")
TEMPLATE = "{{ params.x }}"


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (FLAG, True, True),
        (FLAG, False, False),
        (SHARE, 0, 0.0),
        (SHARE, 0.3, 0.3),
        (SHARE, 1, 1.0),
        (SHARE, None, None),
        (SPAN, timedelta(minutes=1), timedelta(minutes=1)),
        (SPAN, 90, timedelta(seconds=90)),
        (SPAN, 0.5, timedelta(seconds=0.5)),
        (MAX_REJECTED, 0, 0),
        (MAX_REJECTED, 0.25, 0.25),
        (MAX_REJECTED, 1, 1),
        (MAX_REJECTED, 5.0, 5),
        (ANY_REJECTED, None, None),
        (TTL_SECONDS, 60, 60),
        (TTL_SECONDS, None, None),
        (MODE, "full", "full"),
    ],
)
def test_a_literal_that_fits(kind, given, value):
    assert (kind.literal("x", given), type(kind.literal("x", given))) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "wrong", "expected"),
    [
        (FLAG, [None, 0, 1, "true", "True", "off"], "True or False"),
        (SHARE, [-0.1, 1.1, NAN, INFINITE, True, "0.3", "off", [0.3], 10**400], "a share from 0 to 1, or None"),
        (SPAN, [None, -1, NAN, INFINITE, 1e300, True, "90", timedelta(seconds=-1)], "a timedelta or seconds"),
        (MAX_REJECTED, [None, -1, -0.5, 1.5, NAN, INFINITE, True, False, "3"], "a whole number of rows, or a share"),
        (ANY_REJECTED, [-1, 1.5, NAN, True], "a whole number of rows, or a share of them below 1, or None for any"),
        (
            TTL_SECONDS,
            [0, -1, 1.5, NAN, True, "60", 10**12],
            "a whole number from 1 to 100000000000, or None for never",
        ),
        (MODE, [None, "merge", "", "Full", True, ["full"]], "'full' or 'changed'"),
    ],
)
def test_a_literal_that_does_not_fit_is_named_with_what_is_expected(kind, wrong, expected):
    for given in wrong:
        with pytest.raises(SettingsError) as raised:
            kind.literal("the_option", given)
        assert f"the_option={given!r:.200}: expected {expected}" in str(raised.value)


@pytest.mark.parametrize("template", [TEMPLATE, "{% if x %}1{% endif %}", SimpleNamespace(resolve=len), lambda: 1])
@pytest.mark.parametrize("kind", [FLAG, SHARE, SPAN, MAX_REJECTED, TTL_SECONDS, MODE])
def test_a_template_is_left_to_execute(kind, template):
    assert is_template(template)
    assert kind.literal("x", template) is template


def test_what_is_no_template():
    assert not any(map(is_template, (None, "", "{x}", 1, True, {}, [], timedelta, SimpleNamespace(resolve=1))))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (FLAG, "true", True),
        (FLAG, "True", True),
        (FLAG, " false\n", False),
        (FLAG, "False", False),
        (FLAG, True, True),
        (SHARE, "0.3", 0.3),
        (SHARE, "1", 1.0),
        (SHARE, "off", None),
        (SHARE, 0.3, 0.3),
        (SPAN, "90", timedelta(seconds=90)),
        (SPAN, timedelta(seconds=90), timedelta(seconds=90)),
        (MAX_REJECTED, "3", 3),
        (MAX_REJECTED, "0.25", 0.25),
        (MAX_REJECTED, "5.0", 5),
        (TTL_SECONDS, "86400", 86400),
        (TTL_SECONDS, 86400.0, 86400),
        (MODE, " changed ", "changed"),
    ],
)
def test_a_rendered_value_is_taken_for_what_it_means(kind, text, value):
    assert (kind.rendered("x", text, TEMPLATE), type(kind.rendered("x", text, TEMPLATE))) == (value, type(value))


@pytest.mark.parametrize("kind", [FLAG, SHARE, SPAN, MAX_REJECTED, ANY_REJECTED, TTL_SECONDS, MODE])
@pytest.mark.parametrize("text", ["None", "", " ", None])
def test_a_template_that_gave_nothing_says_so(kind, text):
    with pytest.raises(SettingsError, match=r"the_option was rendered as .*a value that its template names is missing"):
        kind.rendered("the_option", text, TEMPLATE)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (FLAG, ["yes", "1", "0", "TRUE", "off", 1, 0]),
        (SHARE, ["2", "-1", "nan", "inf", "half", "True", True]),
        (SPAN, ["-1", "nan", "1e300", "an hour"]),
        (MAX_REJECTED, ["-1", "1.5", "nan", "off", "True", False]),
        (TTL_SECONDS, ["0", "1.5", "nan", "off", "never"]),
        (MODE, ["merge", "FULL", 1, TEMPLATE]),
    ],
)
def test_a_rendered_value_that_does_not_fit_is_named(kind, wrong):
    for text in wrong:
        with pytest.raises(SettingsError) as raised:
            kind.rendered("the_option", text, TEMPLATE)
        assert str(raised.value).startswith(f"the_option={text!r}: expected ")


def test_a_guard_tells_how_a_template_switches_it_off():
    with pytest.raises(SettingsError, match='a template says "off" for None'):
        SHARE.rendered("the_option", "None", TEMPLATE)


def test_what_was_no_template_is_still_a_literal_at_execute():
    assert SHARE.rendered("x", None, None) is None
    with pytest.raises(SettingsError, match=r"x='0\.3'"):
        SHARE.rendered("x", "0.3", 0.3)
