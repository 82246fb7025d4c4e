"""Guards and Sending: made in a DAG, of a mapping, of templates, of a command line; and how an operator keeps them."""

from dataclasses import FrozenInstanceError, replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.options import Guards, Sending

TEMPLATE = "{{ params.share }}"
GUARDS = {
    "allow_empty": False,
    "min_rows_share": 0.5,
    "min_filled_share": 0.1,
    "max_changed_share": 0.5,
    "max_removed_share": 0.2,
}
SENDING = {
    "max_in_flight": 4,
    "max_bisect_requests": 10_000,
    "resume_within": 900.0,
    "owed_tries": 5,
    "give_up_after": 600.0,
}


def test_the_defaults():
    assert Guards().as_dict() == GUARDS
    assert Sending().as_dict() == SENDING


@pytest.mark.parametrize("value", [Guards(), Sending()])
def test_a_value_does_not_change_and_holds_nothing_else(value):
    with pytest.raises(FrozenInstanceError):
        setattr(value, next(iter(value.kinds())), 1)
    assert not hasattr(value, "__dict__")


def test_a_mapping_stands_for_the_value():
    assert Guards.of({"min_rows_share": 0.3}) == Guards(min_rows_share=0.3)
    assert Guards.of({}) == Guards()
    assert Guards.of(Guards(allow_empty=True)) == Guards(allow_empty=True)
    assert Sending.of({"resume_within": 60}) == Sending(resume_within=timedelta(minutes=1))


def test_a_span_may_be_given_in_seconds():
    assert Sending(resume_within=60) == Sending(resume_within=timedelta(minutes=1))
    assert Sending(resume_within=60).resume_span == timedelta(minutes=1)


@pytest.mark.parametrize("share", [np.float32(0.25), np.float64(0.25), Decimal("0.25")])
def test_numbers_of_numpy_and_of_databases_are_numbers(share):
    assert Guards(max_removed_share=share).as_dict()["max_removed_share"] == 0.25
    assert Guards.read({"max_removed_share": share}) == Guards(max_removed_share=0.25)
    assert Sending(max_in_flight=np.int64(2), give_up_after=Decimal(60)) == Sending(max_in_flight=2, give_up_after=60)


@pytest.mark.parametrize("odd", [Decimal("NaN"), Decimal("sNaN"), np.bool_(True), np.timedelta64(1, "m"), 1j])
def test_what_only_looks_like_a_number_is_refused(odd):
    with pytest.raises(SettingsError, match="expected"):
        Guards(max_changed_share=odd)
    with pytest.raises(SettingsError, match="expected"):
        Sending(give_up_after=odd)


def test_the_plain_form_leads_back_to_the_value():
    guards, sending = Guards(True, None, 0.2, None), Sending(1, 0, timedelta(seconds=0.5))
    assert Guards.of(guards.as_dict()) == guards
    assert Sending.of(sending.as_dict()) == sending


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Guards(allow_empty=1), "guards.allow_empty=1: expected True or False"),
        (lambda: Guards(min_rows_share=1.5), "guards.min_rows_share=1.5: expected a share from 0 to 1"),
        (lambda: Guards(max_changed_share=float("nan")), "guards.max_changed_share=nan: expected a share"),
        (lambda: Guards(min_filled_share=True), "guards.min_filled_share=True: expected a share"),
        (lambda: replace(Guards(), min_rows_share=-1), "guards.min_rows_share=-1"),
        (lambda: Sending(max_in_flight=0), "sending.max_in_flight=0: expected a whole number from 1 on"),
        (lambda: Sending(max_bisect_requests=-1), "sending.max_bisect_requests=-1"),
        (lambda: Sending(resume_within=-1), "sending.resume_within=-1: expected a timedelta or seconds"),
        (
            lambda: Guards.of({"min_row_share": 1}),
            "guards.min_row_share=1: unknown; expected some of allow_empty, min_",
        ),
        (lambda: Guards.of(0.5), r"guards=0.5: expected Guards\(...\), or a mapping of allow_empty"),
        (lambda: Guards.of(None), "guards=None"),
        (lambda: Guards.of(Sending()), "guards=Sending"),
        (lambda: Guards.of([("min_rows_share", 0.3)]), "guards="),
        (lambda: Sending.read({"max_in_flight": "many"}), "sending.max_in_flight='many': expected a whole number"),
        (lambda: Sending.read({"flight": "1"}), "sending.flight='1': unknown"),
    ],
)
def test_a_member_that_does_not_fit_is_named_with_what_is_expected(make, message):
    with pytest.raises(SettingsError, match=message):
        make()


def test_texts_of_a_command_line():
    assert Guards.read({"max_changed_share": "off", "allow_empty": "true"}) == Guards(
        allow_empty=True, max_changed_share=None
    )
    assert Sending.read({"max_in_flight": "8", "resume_within": "60"}) == Sending(8, resume_within=timedelta(minutes=1))


@pytest.mark.parametrize("given", [{"min_rows_share": TEMPLATE}, Guards(min_rows_share=TEMPLATE)])
def test_a_member_may_be_a_template(given):
    kept = Guards.literal("guards", given)
    assert kept == {**GUARDS, "min_rows_share": TEMPLATE}
    assert Guards.rendered("guards", {**kept, "min_rows_share": "0.3"}, kept) == {**GUARDS, "min_rows_share": 0.3}
    assert Guards.rendered("guards", {**kept, "min_rows_share": "off"}, kept) == {**GUARDS, "min_rows_share": None}
    for missing in ("None", "", None):
        with pytest.raises(SettingsError, match=r"guards\.min_rows_share was rendered as"):
            Guards.rendered("guards", {**kept, "min_rows_share": missing}, kept)


def test_a_guard_that_the_dag_switches_off_stays_off():
    kept = Guards.literal("guards", {"min_rows_share": None, "max_changed_share": TEMPLATE})
    rendered = Guards.rendered("guards", {**kept, "max_changed_share": "1"}, kept)
    assert rendered == {**GUARDS, "min_rows_share": None, "max_changed_share": 1.0}
    assert Guards.rendered("guards", rendered, rendered) == rendered


def test_the_whole_value_may_be_a_template():
    assert Guards.literal("guards", TEMPLATE) == TEMPLATE
    assert Guards.rendered("guards", {"min_rows_share": 0.3}, TEMPLATE) == {**GUARDS, "min_rows_share": 0.3}
    with pytest.raises(SettingsError, match="guards='None': expected Guards"):
        Guards.rendered("guards", "None", TEMPLATE)
    with pytest.raises(SettingsError, match=r"guards\.min_rows_share was rendered as None"):
        Guards.rendered("guards", {"min_rows_share": None}, TEMPLATE)


def test_a_value_that_came_in_later_counts():
    """A cluster policy may set it."""
    assert Guards.rendered("guards", Guards(allow_empty=True), GUARDS) == {**GUARDS, "allow_empty": True}
