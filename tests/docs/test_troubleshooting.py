"""Every error is explained once in docs/troubleshooting.md, and says itself what to do next."""

import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
RUN = "run: python docs/print_troubleshooting.py"
VERBS = (
    "add|ask|begin|cast|change|check|choose|clear|copy|decrypt|end each|enter|fetch|give|hash|import|leave|load|look|"
    "make|mend|name|pass|percent-encode|put|raise|remove|rename|replace|report|run|save|say|set|shorten|take|unpack|"
    "unset|upgrade|use|write"
)
SAYING = r"expected|needs?|needed|at most|(a|the) (retry|next try|next load)|`infer`|`validate`|must be|pip install"
STEP = re.compile(rf"(?i:(^|[:;,.)…] |\b(or|and|please|but|instead) )({VERBS})\b|(?<!\w)({SAYING})(?!\w))")
"""What is expected, or to be done: a text without any such word only complains."""


@pytest.fixture(scope="module")
def printing():
    """docs/print_troubleshooting.py, which imports what lies beside it."""
    sys.path.insert(0, str(DOCS))
    try:
        import print_troubleshooting

        yield print_troubleshooting
    finally:
        sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def known(printing):
    return printing.beginnings(printing.explained()["place"])


@pytest.fixture(scope="module")
def texts(printing):
    return [one.text for one in printing.told()]


def test_the_page_is_what_the_code_says(printing):
    assert printing.PAGE.read_text("utf-8") == printing.page(), RUN


def test_every_error_is_explained(printing, known, texts):
    lacking = [text for text in texts if printing.beginning(text, known) is None]
    assert not lacking, f"give each an entry in {printing.EXPLAINED}, and {RUN}"


def test_no_error_is_overlooked(printing):
    """These put complaints together that are told one by one; a text that cannot be read is no other's."""
    assert printing.package().untold() == {("clients.form", "SettingsError"), ("records.attributes", "SettingsError")}


def test_nothing_is_explained_that_no_error_says(printing, known, texts):
    assert not set(known) - {printing.beginning(text, known) for text in texts}, f"mend {printing.EXPLAINED}"
    all_texts = {one.text for one in printing.raised()}
    assert not set(printing.explained()["no_errors"]) - all_texts


def test_a_beginning_has_one_entry_only(printing, known):
    listed = [one for place in printing.explained()["place"] for entry in place["entry"] for one in entry["says"]]
    assert sorted(listed) == sorted(known)


def test_every_entry_says_why_and_what_to_do(known):
    for begins, entry in known.items():
        assert entry["why"].endswith("."), begins
        assert entry["do"].endswith("."), begins


def test_every_error_says_what_to_do_next(printing, known, texts):
    """Itself, or where it is put in, or by what is put into it."""
    alone = [text for text in texts if "step" not in known[printing.beginning(text, known)]]
    assert not [text for text in alone if not STEP.search(text)]


def test_what_an_error_is_put_into_says_what_to_do_next(printing, known, texts):
    for whole in {entry["step"] for entry in known.values() if entry.get("step", "filled in") != "filled in"}:
        found = [text for text in texts if text.startswith(whole)]
        assert found, whole
        assert all(map(STEP.search, found)), whole


def test_an_exception_is_not_made_where_none_is_needed(printing, known, texts):
    saying = {printing.beginning(text, known) for text in texts if STEP.search(text)}
    for entry in known.values():
        assert "step" not in entry or set(entry["says"]) - saying, entry["says"]


def test_what_it_points_to_is_there(known):
    for entry in known.values():
        for page, heading in re.findall(r"\]\(([\w-]+\.md)#?([\w-]*)\)", entry["do"]):
            headings = re.findall(r"^#+ (.*)$", DOCS.joinpath(page).read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", one).lower().replace(" ", "-") for one in headings}
            assert not heading or heading in anchors, (page, heading)


def test_texts_are_followed_to_where_they_are_made(printing, tmp_path):
    """Constants, variables, parameters, functions, and what a class makes of its own."""
    tmp_path.joinpath("made.py").write_text(
        """
WORDS = "two words"
class OptimoveProviderError(Exception): ...
class Ours(OptimoveProviderError): ...
class Own(Ours):
    next_step = "Look at {keys}"
    def __init__(self, n): super().__init__(f"{n} is wrong")
def refuse(text): raise Ours(f"{text}: {1}")
def caller(): refuse("this is passed on")
def given(n): return f"a function gives {n}" if n else "or this one here"
def direct(kind=Ours):
    error = Ours if kind else Own
    text = "a variable\\nholds this"
    raise error(text)
def more(n): raise Ours(f"{WORDS} of {n}: " + "; ".join([given(n)]))
def own(): raise Own(3)
def nothing(n): raise Ours(f"{n}{n}")
""",
        "utf-8",
    )
    told = [one.text for one in printing.Package(tmp_path).raised()]
    assert told == [
        "Own: … is wrong. Look at …",
        "a function gives …",
        "a variable holds this",
        "or this one here",
        "this is passed on",
        "two words of …: …",
    ]
