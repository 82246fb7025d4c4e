"""A CSV file's header, matched with a table's attributes: what is wrong with a row, and how a cell is decided."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

from optimove_provider.contract.cells.datatypes import Rule, Verdict
from optimove_provider.contract.cells.ids import is_empty_id, is_null_marker
from optimove_provider.contract.cells.registered import Registered, problems, usable
from optimove_provider.contract.optix.data_connections import has_formula
from optimove_provider.records.csv_syntax.grammar import DOUBT, REPEATED, Fault, other_separator, separator_message
from optimove_provider.records.csv_syntax.reader import Record
from optimove_provider.records.csv_syntax.repeated_header import RepeatedHeader
from optimove_provider.records.findings import file_rules
from optimove_provider.records.findings.findings import ERROR, MAX_VALUE_CHARACTERS, WARNING, Finding
from optimove_provider.records.key import DCP_KEY, Key
from optimove_provider.records.observe.observer import ObserverFactory, no_observers
from optimove_provider.records.validate import prefilter
from optimove_provider.records.validate.prefilter import Plain

MAX_HINTS, MAX_COMPARED = 100, 200_000
"""Looking for the nearest name is slow: a file that is no CSV at all may have 100,000 wrong names, and a table as many
right ones."""
_NAME_RULES = {
    file_rules.HEADER_DUPLICATE.name: "the column is there more than once",
    file_rules.HEADER_ARCHIVED.name: "the attribute is archived: leave the column out, as if it were not registered",
    file_rules.HEADER_PADDED.name: "white space around the name",
    file_rules.HEADER_UNKNOWN.name: "no attribute has this name",
}


@dataclass(frozen=True, slots=True)
class CellCheck:
    """How the cells of one column are decided.

    `judge` is exact. `plain` says of many cells at once which are right beyond doubt, so that `judge` need not be asked
    about those. `invalid` is the message about cells of which it says so, `doubt` tells why another is warned of, and
    `undisputed` writes its value as nobody disputes it, where there is such a form.
    """

    column: int
    rule: str
    plain: Plain
    judge: Callable[[str], Verdict]
    invalid: str
    doubt: Callable[[str], str] = lambda cell: ""
    undisputed: Callable[[str], str] = lambda cell: cell

    def decide(self, cell: str) -> Fault | None:
        """The fault of a cell, if it has one."""
        verdict = self.judge(cell)
        if verdict is Verdict.VALID:
            return None
        return self.fault(cell, ERROR if verdict is Verdict.INVALID else WARNING)

    def fault(self, cell: str, severity: str) -> Fault:
        """The fault of a cell of which `judge` has said that it is wrong."""
        return Fault(self.rule, self.column, cell, self.invalid if severity == ERROR else self.doubt(cell), severity)


class HeaderSchema:
    """The header of a file, matched with the registered attributes; finds the faults of its rows.

    Without attributes every column is welcome, and its cells are text: those are the rules of Opti-X.
    """

    def __init__(
        self,
        header: Record,
        attributes: Sequence[Registered] | None,
        strict: bool,
        make_observers: ObserverFactory = no_observers,
        key: Key = DCP_KEY,
        delimiter: str = ",",
    ) -> None:
        self._delimiter = delimiter
        self._header, self.strict, self._key = header, strict, key
        self._any_name = attributes is None
        attributes = attributes or ()
        self._names = [] if header.broken else header.cells
        self._active = {one.name: one for one in usable(attributes) if not one.archived}
        self._unusable = problems(attributes)
        self._archived = {one.name for one in attributes if one.archived} - self._active.keys()
        self._known = {one.strip().casefold(): one for one in (*self._active, key.name)}
        self._hints = min(MAX_HINTS, MAX_COMPARED // len(self._known))
        self._keys = [i for i, name in enumerate(self._names) if name in key]
        self.checks = tuple(self._cell_checks())
        self.repeated = RepeatedHeader(self._names)
        self.observers = tuple(make_observers(self._names, usable(attributes)))

    @property
    def crlf(self) -> bool:
        """Whether the header ends with CR and LF."""
        return self._header.text.endswith("\r\n")

    @property
    def names(self) -> Sequence[str]:
        """The names in the header, as a report shows them; none if the header cannot be trusted."""
        return [_printable(name) for name in self._names]

    @property
    def width(self) -> int | None:
        """How many cells a row must have; None if the header cannot be trusted."""
        return None if self._header.broken else len(self._names)

    def _cell_checks(self) -> Iterator[CellCheck]:
        for index in self._keys[:1]:
            yield _key_check(self._key, index)
        for index, name in enumerate(self._names):
            if name in self._key:
                continue
            if name in self._active:
                yield _cell_check(index, self._active[name].rule, self.strict)
            elif self._any_name:
                yield _text_check(index)

    def header_findings(self) -> Iterator[Finding]:
        """Faults of the header's text, then of its names; names are not judged if the text is broken, or if another
        character separates them."""
        if separator := self._other_separator():
            message = separator_message(separator)
            yield self._finding(self._header, 0, Fault(file_rules.SEPARATOR.name, None, self._header.text, message))
            return
        for fault in self._text_faults(self._header):
            yield self._finding(self._header, 0, fault)
        if self._header.broken:
            return
        if len(self._keys) != 1:
            case = ", in any case" if self._key.any_case else ""
            message = f"expected one column {self._key.name}{case}: there are {len(self._keys)}"
            yield self._finding(self._header, 0, Fault(self._key.header_rule, None, "", message))
        seen: set[str] = set()
        for index, name in enumerate(self._names):
            if rule := self._name_rule(name, seen):
                hint = self._nearest(name) if rule == file_rules.HEADER_UNKNOWN.name else ""
                message = self._unusable[name] if rule == file_rules.HEADER_UNUSABLE.name else _NAME_RULES[rule] + hint
                yield self._finding(self._header, 0, Fault(rule, index, name, message))
            if self._any_name and not has_formula(name):
                colon = file_rules.HEADER_COLON
                yield self._finding(self._header, 0, Fault(colon.name, index, name, file_rules.COLON, colon.severity))
            seen.add(name)

    def _other_separator(self) -> str | None:
        known = any(name in self._active or name in self._key for name in self._names)
        return None if known else other_separator(self._header.text, self._delimiter, self._header.cells)

    def _name_rule(self, name: str, seen: set[str]) -> str | None:
        if name in self._key:
            return None
        if name in seen:
            return file_rules.HEADER_DUPLICATE.name
        if name in self._unusable:
            return file_rules.HEADER_UNUSABLE.name
        if name in self._archived:
            return file_rules.HEADER_ARCHIVED.name
        if self._any_name or name in self._active:
            return None
        bare = name.strip()
        padded = bare != name and (bare in self._active or bare in self._key)
        return file_rules.HEADER_PADDED.name if padded else file_rules.HEADER_UNKNOWN.name

    def _nearest(self, name: str) -> str:
        """Suggest a name: names are case-sensitive, so one that differs in case only is the nearest."""
        self._hints -= 1
        near = get_close_matches(name.strip().casefold(), self._known, n=1) if self._hints >= 0 else []
        return f"; did you mean {self._known[near[0]]!r}?" if near else ""

    def row_findings(self, record: Record, row: int) -> Iterator[Finding]:
        """Faults of one row: of its text, of the number of its cells, of the cells in their order."""
        for fault in self._text_faults(record):
            yield self._finding(record, row, fault)
        if record.doubt:
            message = DOUBT.format(line=record.doubt)
            yield self._finding(record, row, Fault(file_rules.AFTER_QUOTE.name, None, "", message))
        if record.broken or self._header.broken:
            return
        if self.repeated.is_repeat(record.raw_cells):
            fault = Fault(file_rules.HEADER_REPEATED.name, None, record.text.rstrip("\r\n"), REPEATED)
            yield self._finding(record, row, fault)
            return
        if len(record.cells) != len(self._names):
            message = f"expected {len(self._names)} cells as in the header, found {len(record.cells)}"
            yield self._finding(record, row, Fault(file_rules.RAGGED.name, None, record.text.rstrip("\r\n"), message))
            return
        yield from self._cell_findings(record, row)

    def _text_faults(self, record: Record) -> Iterator[Fault]:
        """The faults of a record's text: of those that are disputed, strict makes errors."""
        for fault in record.faults:
            yield fault._replace(severity=self.severity_of(fault.severity))

    def severity_of(self, severity: str) -> str:
        """That of a fault of a row's text: strict knows no warnings there."""
        return ERROR if self.strict else severity

    def is_row(self, record: Record) -> bool:
        """Whether the record has the cells of a row, right or wrong."""
        is_whole = not record.broken and not record.doubt and len(record.cells) == self.width
        return is_whole and not self.repeated.is_repeat(record.raw_cells)

    def _cell_findings(self, record: Record, row: int) -> Iterator[Finding]:
        faulty = {fault.cell for fault in record.errors}
        for check in self.checks:
            fault = check.decide(record.cells[check.column])
            if fault and check.column not in faulty:
                yield self._finding(record, row, fault)

    def column(self, fault: Fault) -> str:
        """The name of the column that a fault is in, as a report shows it."""
        return "" if fault.cell is None else self.name(fault.cell)

    def name(self, column: int) -> str:
        """A column's name, as a report shows it; empty beyond the last."""
        return _printable(self._names[column]) if column < len(self._names) else ""

    def cell_finding(self, row: int, line: int, byte: int, fault: Fault) -> Finding:
        """A fault of one cell, with its location."""
        value = _printable(fault.value)
        return Finding(row, line, byte, self.column(fault), fault.rule, value, fault.message, fault.severity)

    def _finding(self, record: Record, row: int, fault: Fault) -> Finding:
        return self.cell_finding(row, record.line, record.byte, fault)


def _key_check(key: Key, column: int) -> CellCheck:
    """How the key column is decided: empty and blank keys are errors."""
    return CellCheck(column, key.rule, prefilter.key, _judge_key, f"every row needs its {key.name}")


def _judge_key(cell: str) -> Verdict:
    return Verdict.INVALID if is_empty_id(cell) else Verdict.VALID


def _cell_check(column: int, rule: Rule, strict: bool) -> CellCheck:
    if rule.name not in prefilter.PLAIN:
        return _text_check(column)
    judge, invalid = partial(_judge_cell, rule, strict), f"expected {rule.expects}"
    return CellCheck(
        column,
        rule.name,
        prefilter.PLAIN[rule.name],
        judge,
        invalid,
        lambda cell: f"{invalid}: {rule.doubt_about(cell)}",
        rule.undisputed,
    )


def _text_check(column: int) -> CellCheck:
    """How a column of any text is decided: markers of null are warned of."""
    rule = file_rules.NULL_MARKER.name
    return CellCheck(column, rule, prefilter.string, _judge_text, "", lambda cell: _IS_MARKER)


_IS_MARKER = "a marker of null, which travels as text: leave the cell empty if there is no value"


def _judge_text(cell: str) -> Verdict:
    return Verdict.IMPLAUSIBLE if is_null_marker(cell) else Verdict.VALID


def _judge_cell(rule: Rule, strict: bool, cell: str) -> Verdict:
    """An empty cell is right: nothing is documented about it."""
    return rule.judge(cell, strict) if cell else Verdict.VALID


def _printable(text: str) -> str:
    """Write bytes that are not UTF-8 as \\xNN; long text is cut first, as nobody will see its end."""
    cut = text[:MAX_VALUE_CHARACTERS]
    return cut if cut.isascii() else cut.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
