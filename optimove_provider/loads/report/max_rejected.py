"""How many rows of a load may be rejected, and what is said when they are more."""

from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import DataError
from optimove_provider.kinds import MAX_REJECTED
from optimove_provider.loads.report.report import Report

EXAMPLES = 3
MAX_REASONS = 50
"""Different reasons that a report counts one by one."""


class TooManyRejected(DataError):
    """More rows were rejected than `max_rejected` allows. What was accepted stays."""

    then = NextStep.MEND_ROWS


class NothingSent(TooManyRejected):
    """The same, before anything was sent: the file of rejected rows lacks the others, so it is no way to send them."""

    then = NextStep.MEND_ALL_ROWS


NOTHING_SENT = "Nothing was sent"
_BACK, _REPLAY = "at their source, and load again", "and replay that file"


def check_max_rejected(max_rejected: float) -> None:
    """Raise SettingsError unless it is a number of rows, or a share below 1."""
    MAX_REJECTED.literal("max_rejected", max_rejected)


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
            f"{otherwise}. The rows, with their reasons: {report.rejected_file}; mend them "
            f"{_BACK if otherwise == NOTHING_SENT else _REPLAY}, or raise max_rejected"
        )
        raise (NothingSent if otherwise == NOTHING_SENT else TooManyRejected)(report.problem)


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


def count(report: Report, row: int, reason: str) -> None:
    """Count a rejected row in the report, by its reason."""
    reason = reason[:200]
    if len(report.examples) < EXAMPLES:
        report.examples.append(f"row {row}: {reason}")
    if reason not in report.reasons and len(report.reasons) >= MAX_REASONS:
        reason = "other reasons"
    report.reasons[reason] = report.reasons.get(reason, 0) + 1
