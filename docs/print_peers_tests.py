"""Prints docs/peers-tests.md, of the table beside it: `python docs/print_peers_tests.py`.

A test compares what is printed here with what is in the repository, and looks for each test that is named.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("peers-tests.md")
TABLE = Path(__file__).with_name("peers-tests.toml")
_HEAD = """\
# What other tools' acceptance tests ask

Printed from `docs/peers-tests.toml` by `docs/print_peers_tests.py`; change the table, not this page.

Airbyte, Singer, dlt and RudderStack publish the tests that a destination of theirs has to pass. Here is what these
lists ask, in our words, with tests of this repository that ask the same of loads into Opti-X and DCP, or why it does
not apply: {asked} of their tests, {ours} of ours. The lists were read in November 2026. No text or code of theirs is in
ours.

`make test ARGS="-k NAME"` runs a test by its name. Another test looks whether each one that is named here is there.
"""


def suites() -> Sequence[Mapping[str, Any]]:
    """The table: lists of tests, each with its rows."""
    return list(tomllib.loads(TABLE.read_text("utf-8"))["suite"])


def page() -> str:
    """The text of the page."""
    rows = [row for suite in suites() for row in suite["row"]]
    asked = sum(len(row["theirs"]) for row in rows)
    ours = len({one for row in rows for one in row.get("ours", ())})
    return "\n".join([_HEAD.format(asked=asked, ours=ours), *(line for suite in suites() for line in _suite(suite))])


def _suite(suite: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {suite['title']}\n"
    yield f"{suite['about']}\n"
    yield "| theirs | asks | ours |"
    yield "| --- | --- | --- |"
    yield from map(_row, suite["row"])
    yield ""


def _row(row: Mapping[str, Any]) -> str:
    ours = [_named(one) for one in row.get("ours", ())]
    cells = (_lines(f"`{one}`" for one in row["theirs"]), row["asks"], _lines([*ours, *filter(None, [row.get("not")])]))
    return f"| {' | '.join(cells)} |"


def _lines(items: Iterator[str] | Sequence[str]) -> str:
    return "<br>".join(items)


def _named(test: str) -> str:
    path, _, name = test.partition("::")
    return f"`{name}` in `{path}`"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
