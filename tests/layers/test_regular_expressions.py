"""Every regular expression of the package takes a time that grows with the text, not with its square.

Kinds of public reports: a validator of mail addresses that a long local part held up, a parser of headers with two
adjacent runs of spaces, a linter's pattern for log lines that began at each line end anew, a dotted name tried at each
dot, a column-name test with `.*` on both sides. 60,000 characters take such a pattern ten seconds and more.
"""

import ast
import importlib
import re
import time
from pathlib import Path

import pytest

from optimove_provider.contract.cells.datatypes import RULES
from optimove_provider.records.csv_syntax.grammar import Grammar
from optimove_provider.records.observe.pii import kinds_of, mask_digits, mask_email

ROOT = Path(__file__).parents[2]
CALLS = ("match", "fullmatch", "search", "sub", "split", "findall", "finditer")
LENGTH = 60_000
MOST_SECONDS = 1.0
"""A linear pattern takes milliseconds here, one that is quadratic ten seconds."""
PIECES = [
    *("a", "0", " ", "\n", "_", ".", "@", '"', ","),
    *("a@", "a.", "a@b.", "1 ", "_at", '""', "Error.", " \n", "1xx"),
]
BEGINNINGS = ["", "index", "1"]
HOSTILE = [begin + piece * (LENGTH // len(piece)) + "\n!" for piece in PIECES for begin in BEGINNINGS]


def sites():
    """Each place in the package where a pattern is made or used: module, line, call."""
    for path in sorted((ROOT / "optimove_provider").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            function = getattr(node, "func", None)
            name = ast.unparse(function) if function else ""
            if name.startswith("re.") and name[3:] in (*CALLS, "compile"):
                yield path, node, name[3:]


def module_of(path):
    return importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def used(path, name):
    """How a module uses one of its patterns."""
    found = set(re.findall(rf"\b{name}\.({'|'.join(CALLS)})\(", path.read_text()))
    return sorted(found or {"match", "fullmatch", "search"})


def of_modules():
    for path in sorted((ROOT / "optimove_provider").rglob("*.py")):
        if "re.compile(" in path.read_text():
            for name, pattern in vars(module_of(path)).items():
                if isinstance(pattern, re.Pattern):
                    yield from ((f"{path.stem}.{name}.{call}", pattern, call) for call in used(path, name))


def of_calls():
    for path, node, call in sites():
        if call != "compile":
            assert isinstance(node.args[0], ast.Constant), f"{path}:{node.lineno}: give the pattern a name"
            yield f"{path.stem}:{node.lineno}.{call}", re.compile(node.args[0].value), call


def of_tables():
    for rule in RULES:
        yield f"rule {rule.name}", rule.pattern, "fullmatch"
    for delimiter in (",", "\t"):
        for name, pattern in vars(Grammar(delimiter)).items():
            if isinstance(pattern, re.Pattern):
                yield f"grammar {name}", pattern, "match"


PATTERNS = [*of_modules(), *of_calls(), *of_tables()]


def seconds(call, texts):
    """The longest that a call took, in the time of this process; it ends with the first that takes too long."""
    longest = 0.0
    for text in texts:
        started = time.process_time()
        call(text)
        longest = max(longest, time.process_time() - started)
        if longest > MOST_SECONDS:
            break
    return longest


def caller(pattern, call):
    if isinstance(pattern.pattern, bytes):
        return lambda text: getattr(pattern, call)(text.encode())
    if call == "sub":
        return lambda text: pattern.sub("", text)
    if call in ("findall", "finditer"):
        return lambda text: sum(1 for _ in pattern.finditer(text))
    return getattr(pattern, call)


@pytest.mark.parametrize(("pattern", "call"), [one[1:] for one in PATTERNS], ids=[one[0] for one in PATTERNS])
def test_a_pattern_is_linear(pattern, call):
    assert seconds(caller(pattern, call), HOSTILE) < MOST_SECONDS


@pytest.mark.parametrize("function", [mask_email, mask_digits, kinds_of])
def test_what_looks_at_names_and_cells_is_linear(function):
    assert seconds(function, HOSTILE) < MOST_SECONDS


def test_no_pattern_is_left_out():
    made = sum(1 for _, _, call in sites() if call == "compile")
    found = {id(pattern) for _, pattern, call in PATTERNS}
    assert made <= len(found)
    assert len(PATTERNS) >= 20
