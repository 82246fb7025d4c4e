"""Prints docs/troubleshooting.md: `python docs/print_troubleshooting.py`.

What an error says comes from the code (`errors_raised.py`), why and what to do from `troubleshooting.toml`. A test
compares the page with both.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from errors_raised import Package, Raised

DOCS = Path(__file__).parent
EXPLAINED = DOCS / "troubleshooting.toml"
PAGE = DOCS / "troubleshooting.md"

Entry = Mapping[str, Any]

_HEAD = """\
# What an error says, why, and what to do

Printed by `docs/print_troubleshooting.py` from what the code raises and from `docs/troubleshooting.toml`; change those,
not this page. `…` stands for what is filled in: look for the words around it. Most errors begin with the name of a
connection, a load or a file and go on with one of these texts; one error may have several of them.

What passes by itself is retried by Airflow. What fails at once needs you: mend the cause, and *clear* the task, which
begins a new load that reads the source again ([when a run fails](scheduling.md#when-a-run-fails)).
"""


def explained() -> dict[str, Any]:
    """The places, each with its title and its entries, and the texts that are no errors."""
    return tomllib.loads(EXPLAINED.read_text("utf-8"))


def beginnings(places: list[Mapping[str, Any]]) -> dict[str, Entry]:
    """The entries by what their texts begin with."""
    return {begins: entry for place in places for entry in place["entry"] for begins in entry["says"]}


def beginning(text: str, known: Mapping[str, Entry]) -> str | None:
    """The longest beginning that a text has; None if nobody has explained it."""
    return max((one for one in known if text.startswith(one)), key=len, default=None)


@cache
def package() -> Package:
    """The package, read once."""
    return Package()


@cache
def raised() -> list[Raised]:
    """All texts that the code has for errors."""
    return package().raised()


def told() -> list[Raised]:
    """The errors of the code."""
    no_errors = explained()["no_errors"]
    return [one for one in raised() if one.text not in no_errors]


def page() -> str:
    """The text of docs/troubleshooting.md."""
    places = explained()["place"]
    known, texts = beginnings(places), dict[str, list[str]]()
    for one in told():
        texts.setdefault(beginning(one.text, known) or "", []).append(one.text)
    return "\n".join([_HEAD, *(line for place in places for line in _place(place, texts))])


def _place(place: Mapping[str, Any], texts: Mapping[str, list[str]]) -> Iterator[str]:
    yield f"## {place['title']}\n"
    yield "| it says | why | what to do |"
    yield "| --- | --- | --- |"
    for entry in place["entry"]:
        says = [_cell(text) for begins in entry["says"] for text in texts.get(begins, ())]
        yield f"| {'<br>'.join(says)} | {entry['why']} | {entry['do']} |"
    yield ""


def _cell(text: str) -> str:
    """A text as a cell shows it: the name of its class, which is not told, is left out."""
    name, _, rest = text.partition(": ")
    shown = rest if name.isidentifier() and name[0].isupper() and name.isascii() and "…" in rest else text
    for mark in "\\*<>[]|":
        shown = shown.replace(mark, f"\\{mark}")
    return f"“{shown}”"


def main() -> None:
    """Print the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
