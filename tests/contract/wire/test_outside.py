"""Texts from outside: no secret in any form that an encoder gives it, and never more than the limit."""

import base64
import html
import json
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.contract.wire.outside import MAX_MESSAGE, cut, redact

SECRET = 'a/"b+&é<\\ 1secretKEY='
FORMS = {
    "plain": str,
    "percent": lambda one: quote(one, safe=""),
    "percent, lower case": lambda one: "".join(f"%{byte:02x}" for byte in one.encode()),
    "percent, twice": lambda one: quote(quote(one)),
    "a form's": quote_plus,
    "JSON": json.dumps,
    "JSON in UTF-8": lambda one: json.dumps(one, ensure_ascii=False),
    "JSON with escaped slashes": lambda one: json.dumps(one).replace("/", "\\/"),
    "JSON in JSON": lambda one: json.dumps(json.dumps(one)),
    "HTML": html.escape,
    "HTML, twice": lambda one: html.escape(html.escape(one)),
    "HTML by numbers": lambda one: "".join(f"&#x{ord(character):X};" for character in one),
    "Python": repr,
    "Python, as ASCII": ascii,
    "Python's escapes": lambda one: one.encode("unicode_escape").decode(),
    "Base64": lambda one: base64.b64encode(one.encode()).decode(),
    "Basic authentication": lambda one: base64.b64encode(f"user:{one}".encode()).decode(),
    "Basic authentication of another user": lambda one: base64.b64encode(f"me:{one}".encode()).decode(),
    "in capitals": str.upper,
    "in small letters": str.lower,
    "percent, in capitals": lambda one: quote(one.upper(), safe=""),
    "broken into lines": lambda one: "\n".join(one[at : at + 6] for at in range(0, len(one), 6)),
    "in groups": lambda one: " ".join(one[at : at + 4] for at in range(0, len(one), 4)),
    "broken into lines, as JSON": lambda one: json.dumps("\r\n".join([one[:9], one[9:]])),
    "Base64 for URLs": lambda one: base64.urlsafe_b64encode(f"u:{one}".encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_secret_is_struck_out_in_every_form(form):
    shown = redact(f"<{form(SECRET)}> and so on", [SECRET, "another"])
    assert "***" in shown
    assert shown.endswith("> and so on")
    parts = ("secretKEY", form("secretKEY").strip("\"'")[4:-2])
    assert not [part for part in parts if part.lower() in shown.lower()]


def test_a_short_secret_is_not_put_together_from_several_words():
    assert redact("in a box", ["nab"]) == "in a box"


@settings(max_examples=30)
@given(st.lists(st.text(min_size=2, max_size=20), min_size=1, max_size=4))
def test_whatever_is_secret(secrets):
    assert set(redact("".join(secrets), secrets)) <= {"*"}


@pytest.mark.parametrize("secrets", [["abc", "abcSECRET"], ["abcSECRET", "abc"]])
def test_the_longest_counts_in_whatever_order_they_are_listed(secrets):
    assert redact("abcSECRET, abc", secrets) == "***, ***"


@pytest.mark.parametrize("at", [*range(80, 101), 5000])
def test_no_part_of_a_secret_is_shown_where_the_limit_cuts_it(at):
    shown = redact("." * at + SECRET + "." * 99, [SECRET], limit=100)
    assert len(shown) <= 100
    assert 'a/"' not in shown


def test_a_text_of_secrets_that_shrinks_shows_no_part_of_the_one_at_the_end():
    shown = redact(SECRET * 100_000, [SECRET], limit=2000)
    assert set(shown) == {"*"}


def test_without_secrets_nothing_changes():
    assert (redact("a b", []), redact("a b", [""]), redact("a b", [], limit=1)) == ("a b", "a b", "a")


@pytest.mark.parametrize("text", ["\\" * 100_000, "%" + "25" * 50_000, "&" + "amp;" * 50_000, "x" * 10_000_000])
def test_no_text_takes_long(text):
    began = time.process_time()
    redact(text, [SECRET, "k" * 40], limit=2000)
    assert time.process_time() - began < 2


def test_messages_are_cut_and_say_so():
    error = DataError("x" * 20_000_000)
    assert str(error).endswith(f" ... ({20_000_000 - MAX_MESSAGE} characters more)")
    assert len(str(error)) < MAX_MESSAGE + 100


def test_what_no_database_takes_is_replaced():
    assert cut("a\0b\ud83dc") == "a\ufffdb?c"


@pytest.mark.parametrize(
    "form", [json.dumps, lambda one: json.dumps(json.dumps(one)), repr, lambda one: html.escape(repr(one))]
)
def test_a_tables_keys_are_struck_out_by_their_names(form):
    """An error that quotes the whole table, say one of that name that exists already."""
    shown = redact(form({"aws_access_key": "AKIA-canary", "name": "T", "aws_secret_key": "x/y+canary"}), [])
    assert "canary" not in shown
    assert "name" in shown
    assert "canary" not in redact("AWSSecretAccessKey=canary&x <AWSAccessKeyId>AKIAcanary</AWSAccessKeyId>", ["x"])


@pytest.mark.parametrize(
    ("text", "as_shown"),
    [
        (
            "source 'https://bob:s3cret@files.example/a.csv' is gone",
            "source 'https://bob:***@files.example/a.csv' is gone",
        ),
        ("postgresql://u:p:q@host/db and redis://:pw@h", "postgresql://u:***@host/db and redis://:***@h"),
        ("s3://conn_id@bucket/key", "s3://conn_id@bucket/key"),
        ("http://[::1]:80/a?b=c@d", "http://[::1]:80/a?b=c@d"),
        (
            "a.csv?X-Amz-Credential=AKIA%2Fx&X-Amz-Signature=ab12&n=1",
            "a.csv?X-Amz-Credential=***&X-Amz-Signature=***&n=1",
        ),
        ("https://x.blob.example/c?sv=1&sig=Zm9v%3D'", "https://x.blob.example/c?sv=1&sig=***'"),
        ("row 1: token=5, see https://docs.example/#sig=1", "row 1: token=5, see https://docs.example/#sig=1"),
    ],
)
def test_passwords_and_signatures_in_urls_are_struck_out(text, as_shown):
    assert cut(text) == as_shown
    assert str(DataError(text)) == as_shown


def test_no_part_of_a_signature_is_shown_where_the_limit_cuts_it():
    assert cut("https://a.example/?sig=" + "S" * 100, limit=40) == "https://a.example/?sig=*** ... (83 characters more)"
