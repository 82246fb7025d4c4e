"""Rejected rows: kept in one file with their reasons, which a replay reads, and judged by `max_rejected`."""

import json
from collections.abc import Iterator

from optimove_provider.contract.errors import DataError, SettingsError
from optimove_provider.loads.flight import Totals
from optimove_provider.loads.journal import Journal
from optimove_provider.loads.report import Report
from optimove_provider.loads.slices import Parts
from optimove_provider.loads.spool import ASIDE, Spool
from optimove_provider.records.jsonlines import rejected_line

EXAMPLES = 3
MAX_REASONS = 50
"""Different reasons that a report counts one by one."""


class TooManyRejected(DataError):
    """More rows were rejected than `max_rejected` allows. What was accepted stays."""


def check_max_rejected(max_rejected: float) -> None:
    """Raise SettingsError unless it is a number of rows, or a share below 1."""
    if max_rejected < 0:
        raise SettingsError(f"max_rejected {max_rejected}: expected a number of rows, or a share below 1")


def allowed_of(max_rejected: float, rows: int) -> float:
    """How many of so many rows may be rejected."""
    return max_rejected if max_rejected >= 1 else max_rejected * rows


def judge(report: Report, max_rejected: float, otherwise: str) -> None:
    """Raise TooManyRejected if more of the rows were rejected than is allowed. `otherwise` says what of the others."""
    allowed = allowed_of(max_rejected, report.rows)
    if report.rejected > allowed:
        first = "; ".join(report.examples)
        report.problem = (
            f"{report.rejected} of {report.rows} rows were rejected, and max_rejected allows {allowed:g}: {first}"
            f"{' ...' if report.rejected > len(report.examples) else ''}. "
            f"{otherwise}. The rows, with their reasons: {report.rejected_file}; mend them and replay that file, or "
            "raise max_rejected"
        )
        raise TooManyRejected(report.problem)


def judge_expired(report: Report, max_rejected: float) -> None:
    """Raise TooManyRejected if more of the records to expire were refused than is allowed of rejected rows."""
    wanted = report.expired + report.not_expired
    if report.not_expired > allowed_of(max_rejected, wanted):
        report.problem = (
            f"{report.not_expired} of {wanted} records that the source lacks may stay in the target: the server "
            f"refused to take them again (max_rejected={max_rejected:g}): {'; '.join(report.expiry_examples)}. "
            'Everything else was committed, and the next snapshot with on_removed="expire" tries again: until it '
            'succeeds, load a record that is accepted under these keys, with source_is="delta", or raise max_rejected'
        )
        raise TooManyRejected(report.problem)


def keep_rejected(journal: Journal, spool: Spool, totals: Totals, report: Report, parts: Parts) -> None:
    """Write all rejected rows to `reports/<load id>.rejected.jsonl`, if there are any, and count them in the report.

    `parts` are those that `totals` speaks of.
    """
    report.rejected = spool.rejected + totals.rejected
    if not report.rejected:
        return
    path = f"reports/{report.load_id}.rejected.jsonl"
    report.reasons, report.examples = {}, []
    with journal.staging.open_new(path) as out:
        for line in _put_aside(journal, spool, report):
            out.write(line)
        for line in _refused(journal, parts, totals, report):
            out.write(line)
    report.rejected_file = journal.staging.url(path)


def _put_aside(journal: Journal, spool: Spool, report: Report) -> Iterator[bytes]:
    if spool.rejected:
        with journal.staging.open(f"{journal.folder}/{ASIDE}") as lines:
            for line in lines:
                told = json.loads(line)
                count(report, told["row"], told["reason"])
                yield line


def _refused(journal: Journal, parts: Parts, totals: Totals, report: Report) -> Iterator[bytes]:
    for row, record, one in totals.refused(journal.staging, parts):
        count(report, row, one.reason)
        yield rejected_line(row, one.reason, one.status, record)


def count(report: Report, row: int, reason: str) -> None:
    """Count a rejected row in the report, by its reason."""
    reason = reason[:200]
    if len(report.examples) < EXAMPLES:
        report.examples.append(f"row {row}: {reason}")
    if reason not in report.reasons and len(report.reasons) >= MAX_REASONS:
        reason = "other reasons"
    report.reasons[reason] = report.reasons.get(reason, 0) + 1
