"""What a check of a file found: single findings, and the report that counts all and keeps the first."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from optimove_provider.contract.how_many import how_many

ERROR, WARNING = "error", "warning"
MAX_VALUE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault and its location.

    `row` counts data rows from 1 and is 0 for the header, blank lines and the file itself. The faulty record
    starts on the physical line `line` (header = 1), at the offset `byte` of the decompressed text. `column`
    is empty where no single column is at fault; `value` is cut at 200 characters.
    """

    row: int
    line: int
    byte: int
    column: str
    rule: str
    value: str
    message: str
    severity: str = ERROR

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", self.value[:MAX_VALUE_CHARACTERS])

    def as_json(self) -> dict[str, Any]:
        """The finding as a dict in the order of its fields."""
        return {name: getattr(self, name) for name in self.__slots__}

    def describe(self) -> str:
        """One line for people: "row 3, line 4, column 'x', rule date: value '2022-13-01': expected ..."."""
        location = [f"row {self.row}"] if self.row else []
        location += [f"line {self.line}"] if self.line else []
        location += [f"column {self.column!r}"] if self.column else []
        rule = f"rule {self.rule}" + ("" if self.severity == ERROR else f" ({self.severity})")
        value = f"value {self.value!r}: " if self.value or self.column else ""
        return f"{', '.join([*location, rule])}: {value}{self.message}"


@dataclass(slots=True)
class Findings:
    """One check of `file`: `bytes` and `rows` read, and `valid_rows`, the rows without an error.

    `findings` keeps at most `max_findings`, in the order of the file, those about the file itself last; warnings may
    take half of them, so that they leave room for errors. `counts` (by rule) and `errors` (findings of severity error)
    count every one. `notes` say what the check itself cost.
    """

    file: str = ""
    bytes: int = 0
    rows: int = 0
    valid_rows: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    groups: dict[tuple[str, str, str], int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    errors: int = 0
    max_findings: int = 10_000
    kept_warnings: int = 0

    def room(self, severity: str) -> int:
        """How many more findings of a severity can be kept."""
        room = self.max_findings - len(self.findings)
        return room if severity == ERROR else min(room, (self.max_findings + 1) // 2 - self.kept_warnings)

    def count(self, rule: str, column: str, severity: str, count: int = 1) -> None:
        """Count findings of one rule in one column."""
        self.counts[rule] = self.counts.get(rule, 0) + count
        group = (rule, column, severity)
        self.groups[group] = self.groups.get(group, 0) + count
        self.errors += count if severity == ERROR else 0

    def keep(self, finding: Finding) -> None:
        """Keep a finding that was counted, while there is room."""
        if self.room(finding.severity) > 0:
            self.findings.append(finding)
            self.kept_warnings += finding.severity == WARNING

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it while there is room."""
        self.count(finding.rule, finding.column, finding.severity)
        self.keep(finding)

    def add_all(self, findings: Iterable[Finding]) -> None:
        """Add findings that belong to no row."""
        for finding in findings:
            self.add(finding)

    def add_row(self, findings: Iterable[Finding]) -> None:
        """Count a row, and add what was found in it."""
        errors = self.errors
        self.add_all(findings)
        self.rows += 1
        self.valid_rows += self.errors == errors

    @property
    def total(self) -> int:
        """How many findings there were, kept or not."""
        return sum(self.counts.values())

    @property
    def truncated(self) -> bool:
        """Whether there were more findings than are kept."""
        return self.total > len(self.findings)

    def warnings(self) -> dict[str, int]:
        """How many warnings of each rule there are."""
        counts: dict[str, int] = {}
        for (rule, _, severity), count in self.groups.items():
            if severity == WARNING:
                counts[rule] = counts.get(rule, 0) + count
        return counts

    def warning_note(self, url: str, prefix: str = "id-") -> str:
        """A remark about the warnings of the rules that begin so, with the first of each; "" if there is none."""
        counts = {rule: count for rule, count in self.warnings().items() if rule.startswith(prefix)}
        if not counts:
            return ""
        first = {one.rule: one for one in reversed(self.findings) if one.severity == WARNING}
        told = [f"{rule} {n}" + (f" ({first[rule].describe()})" if rule in first else "") for rule, n in counts.items()]
        return f"warnings about ids: {'; '.join(told)}. All of them: {url}"

    def as_json(self) -> dict[str, Any]:
        """The report as a dict that JSON can hold, in the order in which people read it."""
        return {
            "file": self.file,
            "bytes": self.bytes,
            "rows": self.rows,
            "valid_rows": self.valid_rows,
            "findings": [finding.as_json() for finding in self.findings],
            "counts": dict(self.counts),
            "truncated": self.truncated,
        }

    def describe(self, limit: int = 10) -> str:
        """Lines for people: totals, the first `limit` findings (errors before warnings), how many more."""
        warnings = self.total - self.errors
        lines = [
            f"{self.file or 'input'}: {how_many(self.rows, 'row')}, {self.valid_rows} valid, "
            f"{how_many(self.errors, 'error')}, {how_many(warnings, 'warning')}"
        ]
        shown = sorted(self.findings, key=lambda finding: finding.severity != ERROR)[:limit]
        lines += [finding.describe() for finding in shown]
        if self.total > len(shown):
            lines.append(f"... and {self.total - len(shown)} more")
        lines += self.notes
        return "\n".join(lines)
