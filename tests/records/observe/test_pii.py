"""Columns that look like personal data: by name and by value, without false alarms, and never in clear."""

from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.findings.findings import WARNING
from optimove_provider.records.observe import pii
from optimove_provider.records.observe.defaults import observers_for
from optimove_provider.records.observe.identifiers import KeyObserver
from optimove_provider.records.observe.pii import PII_RULES, PiiObserver, is_card, mask_digits, mask_email, pii_names
from optimove_provider.records.observe.sampled_rows import STRETCH

RANDOM = np.random.default_rng(11)


def observe(cells, size=7, **options):
    """Show cells as rows from 1 on; row n is on line 10 n, at the byte 100 n."""
    looking = PiiObserver(2, "note", **options)
    for start in range(0, len(cells), size):
        part = [one if isinstance(one, bytes) else one.encode() for one in cells[start : start + size]]
        rows = np.arange(start + 1, start + len(part) + 1)
        looking.see(Locations(rows, rows * 10, rows * 100), pa.array(part, pa.binary()))
    findings = list(looking.findings())
    assert list(looking.counts()) == [(one.rule, 1) for one in findings]
    assert {one.rule for one in findings} <= set(PII_RULES)
    looking.close()
    return findings


def kinds(cells):
    return [one.rule for one in observe(cells)]


EMAILS = [
    "ann@example.com",
    "a.b+c@x.co.uk",
    "Ann <ann@example.com>",
    "write to ann@example.com, please",
    "é@ü.de",
    "x@y.io ",
]
PHONES = ["+14155550123", "+49 (0)30 1234567", "+33.612.345.678", "0044 20 7946 0018", "(212) 555-0187", "212-555-0187"]
PHONES += ["1 212 555 0187", "020 7946 0018", "030/1234567", "06 12 34 56 78", "tel:+49-30-1234567", " +14155550123 "]
CARDS = ["4111111111111111", "4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005", "6011111111111117"]
CARDS += ["3530111333300000", "30569309025904", "2223003122003222"]
SSNS = ["123-45-6789", "001-01-0001", "899 99 9999", "667-12-3456"]


@pytest.mark.parametrize(
    ("rule", "cell"),
    [
        (rule, cell)
        for rule, cells in zip(
            ("pii-email", "pii-phone", "pii-card", "pii-ssn"), (EMAILS, PHONES, CARDS, SSNS), strict=True
        )
        for cell in cells
    ],
)
def test_values_that_are_found(rule, cell):
    (finding,) = observe(["", "x", *[cell] * 5, "y"])
    assert (finding.rule, finding.row, finding.line, finding.byte) == (rule, 3, 30, 300)
    assert (finding.column, finding.severity) == ("note", WARNING)
    assert finding.message.startswith("5 of 7 cells that are not empty (71.4%) look like ")


HARMLESS = {
    "epochs": [str(1_651_676_123 + one * 977) for one in range(50)],
    "milliseconds": [str(1_651_676_123_000 + one * 977) for one in range(50)],
    "later milliseconds": [str(4_111_111_111_111 + one) for one in range(50)],
    "dates": [f"20{one:02}-05-{one % 28 + 1:02}" for one in range(50)],
    "dates with the day first": [f"{one % 28 + 1:02}-05-20{one:02}" for one in range(50)],
    "dates with slashes and hours": [f"0{one % 9 + 1}/12/2022 10:10" for one in range(50)],
    "times": [f"2022-05-02T10:10:{one:02}Z" for one in range(50)],
    "uuids": [str(UUID(bytes=RANDOM.bytes(16))) for _ in range(200)],
    "hashes": [RANDOM.bytes(32).hex() for _ in range(200)],
    "order numbers": [f"{one:010d}" for one in range(5_000_000, 5_000_050)],
    "orders of a shop": [f"302-{one:07d}-{one * 31:07d}" for one in range(2000, 2050)],
    "sixteen digits": [str(4_000_000_000_000_000 + int(one)) for one in RANDOM.integers(0, 10**15, 500)],
    "article numbers": ["4006381333931", "4012345123456", "4902505088742", "9780306406157", "4005808262502"] * 9,
    "decimals": [f"+{one}.{one:06}" for one in range(1000, 1050)],
    "amounts": [f"{one % 9 + 1}.234.567.890" for one in range(50)],
    "hosts": [f"192.168.100.{one}" for one in range(50)],
    "handles": [f"@ann{one}" for one in range(50)],
    "connections": [f"user@host{one}" for one in range(50)],
    "versions": [f"1.{one}.0-20220502" for one in range(50)],
    "impossible social-security numbers": ["000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000"]
    * 9,
    "words": ["phone", "name", "123", "ab@", "@", "5", "+", "", " "] * 9,
    "bytes": [b"\xff@\xfe", b"\xff\xff"] * 9,
}


@pytest.mark.parametrize("cells", HARMLESS.values(), ids=HARMLESS.keys())
def test_values_that_are_not_personal(cells):
    assert kinds(cells) == []


def test_nothing_seen_nothing_found():
    assert kinds([]) == kinds([""] * 20) == []


def test_few_hits_and_a_small_share_are_not_enough():
    assert kinds(["a@example.com"] * 4) == []
    assert kinds(["a@example.com"] * 5 + [""] * 500) == ["pii-email"]
    assert kinds(["a@example.com"] * 10 + ["x"] * 90) == ["pii-email"]
    assert kinds(["a@example.com"] * 10 + ["x"] * 91) == []
    assert [one.rule for one in observe(["a@example.com"] * 2 + ["x"] * 91, min_hits=2, min_share=0.01)] == [
        "pii-email"
    ]


def test_kinds_come_in_the_order_of_their_first_cell():
    cells = ["x", "123-45-6789", "+14155550123", "4111111111111111", "a@example.com"] * 5
    assert [(one.row, one.rule) for one in observe(cells)] == [
        (2, "pii-ssn"),
        (3, "pii-phone"),
        (4, "pii-card"),
        (5, "pii-email"),
    ]


def naive_luhn(digits):
    total = 0
    for place, one in enumerate(reversed(digits)):
        number = int(one) * (2 if place % 2 else 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


@settings(deadline=None)
@given(st.lists(st.from_regex(r"\A4[0-9]{15}([0-9]{3})?\Z|\A37[0-9]{13}\Z", alphabet="0123456789"), max_size=30))
def test_the_check_digit_is_that_of_luhn(numbers):
    digits = pa.array([one.encode() for one in numbers], pa.binary())
    assert is_card(digits).tolist() == [naive_luhn(one) for one in numbers]


@pytest.mark.parametrize("length", [1, 50])
def test_no_value_is_shown_in_clear(length):
    for cell in [*EMAILS, *PHONES, *CARDS, *SSNS]:
        for finding in observe([cell] * 5 * length):
            shown = str(finding.as_json()) + finding.describe()
            assert cell.strip() not in shown
            assert "ann" not in shown
            assert "example" not in shown
            assert sum(one.isdigit() for one in finding.value) <= 2


def test_masks():
    assert mask_email("Dear Ann, ann.b@example.com") == "a***@e***.com"
    assert mask_email("no address") == "***"
    assert mask_digits("+1 (415) 555-0123") == "+* (***) ***-**23"
    assert mask_digits("4111 1111 1111 1111 ") == "**** **** **** **11 "


NAMES = {
    "pii-email": "email e_mail eMail E-Mail EMAIL email2 customerEmail Email_Address mail workEmail",
    "pii-phone": "phone Phone_1 mobilePhone mobile home-telephone cell faxNumber msisdn tel",
    "pii-card": "card_number creditCard cardNo IBAN cvv PAN cc_number",
    "pii-ssn": "ssn SSN social_security socialSecurityNumber passport passportNo tax_id nationalId",
    "pii-name": "name Name first_name firstName LASTNAME surname full-name birth_name customerName homeAddress address",
}


@pytest.mark.parametrize(("rule", "name"), [(rule, name) for rule, names in NAMES.items() for name in names.split()])
def test_names_that_are_found(rule, name):
    (finding,) = pii_names(["customerId", name])
    assert (finding.rule, finding.row, finding.line, finding.byte) == (rule, 0, 1, 0)
    assert (finding.column, finding.value, finding.severity) == (name, name, WARNING)


@pytest.mark.parametrize(
    "names",
    [
        "product_name campaignName store_name username user_name login nameday filename brand_name event_name rename",
        "email_opt_in emailOpens email_hash hashedEmail email_sha256 last_email_date emailVerified is_email",
        "has_phone phone_model phoneType mobile_app_version mobile_sessions hotel telegram cellar microphone megaphone",
        "gift_card_number loyaltyCardNumber card_type scorecard pan_size japan company discard has_credit_card",
        "ip_address ipAddress mac_address web_address address_count customerId id LTV assn session passed taxi",
        "birthDate city zip country gender most_viewed_category note",
    ],
)
def test_names_of_something_else(names):
    assert list(pii_names(names.split())) == []


def test_allowed_columns_are_left_out():
    assert [one.column for one in pii_names(["name", "email", "Email"], allowed={"email"})] == ["name", "Email"]


ATTRIBUTES = [
    Attribute("text", "string"),
    Attribute("seen", "datetime", "epoch"),
    Attribute("points", "long"),
    Attribute("old", "string", archived=True),
]


def test_who_watches_which_column(tmp_path):
    names = ["seen", "text", "CUSTOMERID", "points", "unknown", "old", "customerId"]
    observers = observers_for(names, ATTRIBUTES, allowed_pii=["unknown"], folder=tmp_path)
    assert [(type(one), one.column) for one in observers] == [
        (KeyObserver, 2),
        (PiiObserver, 1),
        (PiiObserver, 2),
        (PiiObserver, 5),
        (PiiObserver, 6),
    ]
    assert [type(one) for one in observers_for(names, ATTRIBUTES, pii=False)] == [KeyObserver]
    assert {type(one) for one in observers_for(names, ATTRIBUTES, identifiers=False)} == {PiiObserver}
    assert observers_for([], ATTRIBUTES) == []
    assert list(tmp_path.iterdir()) == []


def at_random(rng, count):
    """Cells among which all kinds, and what looks like them at first sight, are more or less frequent."""
    pools = [EMAILS, PHONES, CARDS, SSNS, *HARMLESS.values(), ["word"], [""]]
    shares = rng.dirichlet(np.full(len(pools), 0.2))
    return [pools[kind][rng.integers(len(pools[kind]))] for kind in rng.choice(len(pools), count, p=shares)]


def plainly(cells):
    """(rule, first row, hits) by asking each cell for each expression."""
    raw = [one if isinstance(one, bytes) else one.encode() for one in cells]
    column = pa.array(raw, pa.binary())
    masks = {
        "pii-email": pii._mask(column, pii._EMAIL),
        "pii-phone": pii._mask(column, pii._PHONE),
        "pii-ssn": pii._mask(column, pii._SSN),
    }
    shaped = pii._mask(column, pii._CARD_SHAPE)
    digits = pa.array(["".join(filter(str.isdigit, one.decode("latin-1"))).encode() for one in raw], pa.binary())
    masks["pii-card"] = shaped & is_card(digits)
    filled = sum(map(bool, raw))
    enough = {rule: mask for rule, mask in masks.items() if mask.sum() >= max(5, 0.1 * filled)}
    if masks["pii-card"].sum() < 0.5 * shaped.sum():
        enough.pop("pii-card", None)
    return sorted((int(mask.argmax()) + 1, int(mask.sum()), rule) for rule, mask in enough.items())


@pytest.mark.parametrize("seed", range(40))
def test_few_cells_are_asked_for_the_expressions_and_none_is_missed(seed):
    cells = at_random(np.random.default_rng(seed), 300)
    found = [(one.row, int(one.message.split()[0]), one.rule) for one in observe(cells, size=97)]
    assert sorted(found) == plainly(cells)


def observe_long(pieces, sizes):
    """Show (cell, count) pieces, of many rows, in calls of these sizes."""
    cells = pa.concat_arrays([pa.array([cell.encode()]).take(pa.array(np.zeros(n, int))) for cell, n in pieces])
    rows, looking, start = np.arange(1, len(cells) + 1), PiiObserver(2, "note"), 0
    while start < len(cells):
        size = sizes[start % len(sizes)]
        part = rows[start : start + size]
        looking.see(Locations(part, part, part), cells.slice(start, size))
        start += size
    return [(one.rule, one.row, one.message.partition(":")[0]) for one in looking.findings()]


def test_costly_columns_are_sampled_and_the_finding_says_so():
    pieces = [("a@example.com", 20 * STRETCH)]
    expected = f"{6 * STRETCH} of the {6 * STRETCH} cells looked at, about 100.0% of all that are not empty, look like"
    for sizes in ([STRETCH], [50_001], [300_007, 40_000]):
        (found,) = observe_long(pieces, sizes)
        assert found[:2] == ("pii-email", 1)
        assert found[2].startswith(expected)


def test_a_run_of_rows_is_found_and_what_is_plain_is_looked_at_whole():
    dates = [("2022-05-02", 20 * STRETCH), ("+14155550123", 8 * STRETCH), ("2022-05-02", 12 * STRETCH)]
    (found,) = observe_long(dates, [60_000])
    assert found[:2] == ("pii-phone", 27 * STRETCH + 1)
    words = [("word", 20 * STRETCH), ("+14155550123", 3 * STRETCH), ("word", 5 * STRETCH)]
    (found,) = observe_long(words, [60_000])
    assert found == ("pii-phone", 20 * STRETCH + 1, found[2])
    assert found[2].startswith(f"{3 * STRETCH} of {28 * STRETCH} cells that are not empty (10.7%) look like")
