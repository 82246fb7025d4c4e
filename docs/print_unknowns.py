"""Prints docs/unknowns.md, of a table and a run of the matrix: `python docs/print_unknowns.py`.

A test compares what is printed here with what is in the repository.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# A program finds what lies beside it; the package lies above.
sys.path.insert(0, str(Path(__file__).parents[1]))

from optimove_provider.emulator.model.switches import DcpSwitches, OptixSwitches
from tests.support.unknowns.cases import Unknown, more_requests, run_case, table

DOCS = Path(__file__).parent
PARTS = ("Opti-X", "DCP", "Both")
_HEAD = """\
# What neither vendor documents, and what happens under each guess

Printed from `docs/unknowns.toml` and a run of the matrix by `docs/print_unknowns.py`; change those, not this page.

Much of both APIs is documented nowhere. The emulator has a switch for each such question, with its guess in bold here
(`PUT /_emulator/switches`). `tests/unknowns` runs the same courses under every setting of every switch: data
connections are created, loaded as a whole and by what changed, made to expire, updated; tables are made, rows and
files imported, with a history to be asked and without; an attribute is archived and replaced; profiles are written and
read. Two answers of Opti-X and two of S3 are lost on the way, one process is killed, and a bad row is searched for.
Each answer is one that the description of that setting has (`GET /_emulator/openapi.json`).

* *right*: the target holds what the rows say, and so do report and ledger. The number is that of requests more than
  under the guess.
* *red*: the task fails, and its error has the words that are quoted. What the report calls accepted is there.
* *told*: the task is green, and a note in its report says what cannot be known.
* *tried by*: the parts of the courses (`tests/support/unknowns`) that meet the switch.

Loads do not depend on a setting under which everything ends as under the guess: right, or with the same rows rejected.
"""


def page() -> str:
    """The text of the page."""
    known, lines = table()
    sections = (line for part in PARTS for line in _section(part, known, lines))
    return "\n".join([_HEAD, *_claims(known), *sections])


def _claims(known: Mapping[str, Unknown]) -> Iterator[str]:
    """How many settings loads do not depend on: a test tries each of them, and shows that such a claim can fail."""
    yield from _row("of", "switches", "settings", "loads do not depend on", "ends otherwise", "never met")
    yield from _row(*["---"] * 6)
    for part in PARTS:
        switches = [one for name, one in known.items() if _part(name) == part]
        settings = [(one, setting) for one in switches for setting in one.settings]
        unmet = [one for one, _ in settings if one.unmet]
        matter = [one for one, setting in settings if not one.unmet and _matters(one, setting)]
        counts = (len(switches), len(settings), len(settings) - len(matter) - len(unmet), len(matter), len(unmet))
        yield from _row(part, *map(str, counts))
    yield ""


def _section(part: str, known: Mapping[str, Unknown], lines: list[dict[str, str]]) -> Iterator[str]:
    yield f"## {part}\n"
    yield from _row("unknown", "switch", "settings", "what is relied on", "tried by")
    yield from _row(*["---"] * 5)
    for name, one in known.items():
        if _part(name) == part:
            yield from _row(one.unknown, f"`{name}`", "<br>".join(_settings(one)), one.relies, _tried_by(one))
    yield ""
    if found := [line for line in lines if line["part"] == part]:
        yield "Without a switch, because it cannot matter:\n"
        yield from _row("unknown", "why")
        yield from _row("---", "---")
        for line in found:
            yield from _row(line["unknown"], line["why"])
        yield ""


def _part(name: str) -> str:
    for part, switches in zip(PARTS, (OptixSwitches, DcpSwitches), strict=False):
        if name in switches.__dataclass_fields__:
            return part
    return PARTS[-1]


def _row(*cells: str) -> Iterator[str]:
    yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _settings(one: Unknown) -> Iterator[str]:
    if one.unmet:
        yield f"{', '.join(_shown(one, setting) for setting in one.settings)}: never met, since {one.unmet}"
        return
    outcomes: dict[str, list[str]] = {}
    for setting in one.settings:
        outcomes.setdefault(_outcome(one, setting), []).append(_shown(one, setting))
    for outcome, settings in outcomes.items():
        yield f"{', '.join(settings)}: {outcome}"
    if one.beside:
        yield f"(with {', '.join(f'`{name}={value}`' for name, value in one.beside.items())})"


def _matters(one: Unknown, setting: Any) -> bool:
    """Whether loads end otherwise than under the guess; how many requests it takes is no matter."""
    found, guessed = (_MORE.sub("", _outcome(one, which)) for which in (setting, one.default))
    return found != guessed


def _tried_by(one: Unknown) -> str:
    """The parts of the courses that meet it."""
    return "" if one.unmet else ", ".join(run_case(one.name, one.default))


_MORE = re.compile(r" \([0-9]+ more\)$")


def _shown(one: Unknown, setting: Any) -> str:
    return f"**`{setting!r}`**" if setting == one.default else f"`{setting!r}`"


def _outcome(one: Unknown, setting: Any) -> str:
    ended = run_case(one.name, setting)
    told = [note for some in ended.values() for note in some.told.values()]
    notes = [f"told: “{_words(one.words(one.told, setting), told[0])}”"] if told else []
    reds = {step: said for some in ended.values() for step, said in some.outcomes.items() if said != "right"}
    if reds or notes:
        return "; ".join([*_red(one.words(one.red, setting), reds), *notes])
    more = more_requests(one.name, ended)
    return f"right ({more} more)" if more > 0 else "right"


def _red(words: str, reds: Mapping[str, str]) -> Iterator[str]:
    said: dict[str, list[str]] = {}
    for step, text in reds.items():
        said.setdefault(_words(words, text), []).append(step)
    for text, steps in said.items():
        some = ", ".join(dict.fromkeys(steps)) if len(steps) < 4 else "every write"
        yield f"red ({some}): “{text}”"


def _words(pattern: str, text: str) -> str:
    """The words that an error or a note must have, of those that are allowed."""
    found = next((one for one in pattern.split("|") if re.search(one, text)), text)
    return found.replace(".*", " … ").replace("[0-9]+", "N")


def main() -> None:
    """Print the page."""
    DOCS.joinpath("unknowns.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
