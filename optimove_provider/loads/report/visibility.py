"""Whether what a load has sent can be seen in its target: the one place for that fact, and for its words."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.wire.errors import DataError, OptimoveProviderError, may_be_done
from optimove_provider.loads.state.journal import Journal, Stage
from optimove_provider.loads.state.staging import Staging


class Visibility(StrEnum):
    """One of three, for all that is not told by the counts of a report."""

    VISIBLE = "visible"
    NOT_VISIBLE = "not visible"
    NOT_KNOWN = "not known"


Doubt = Callable[[BaseException | None], bool]
"""Whether rows may be visible that do not count as accepted, once a try has ended with this error, or with none."""
ENDED = ("committed", "nothing_to_send")


def no_doubt(error: BaseException | None) -> bool:
    """Of what sends nothing: there is none."""
    return False


def batch_doubt(journal: Journal, accepted: Callable[[], int]) -> Doubt:
    """Of a batch: it is seen as a whole, once the request that completes it was carried out; the rows that it accepted
    are counted once that is known."""
    return lambda error: journal.completing_may_be_done and not accepted()


def request_doubt(has_sent: Callable[[], bool] = lambda: True, is_first: Callable[[], bool] = lambda: True) -> Doubt:
    """Of requests that each count at once: one without an answer may have been carried out, and so may one of an
    earlier try, where this is not the first that sends."""

    def in_doubt(error: BaseException | None) -> bool:
        known = isinstance(error, OptimoveProviderError) and not may_be_done(error)
        return error is not None and has_sent() and not (known and is_first())

    return in_doubt


def visibility_of(state: str, accepted: int, kept: int, in_doubt: bool) -> Visibility:
    """How much of a load is visible that has come to a state. `kept` rows were there before it.

    Files that are uploaded are not known to be visible until their import is confirmed.
    """
    if state == "uploaded" or (in_doubt and not (state in ENDED and (accepted or kept))):
        return Visibility.NOT_KNOWN
    return Visibility.VISIBLE if accepted or (state in ENDED and kept) else Visibility.NOT_VISIBLE


EXPIRE = "expire"
"""The mode of loads that make records of named keys expire."""
AT_ONCE = ("update", "profiles", "aliases")
"""Modes of loads whose requests count at once. Those by REST have no journal, so that nobody knows what they sent."""


def of_journal(journal: Journal, mode: str, was_killed: bool = False) -> Visibility:
    """Of a load that has left no report, since its process was killed or it failed before it had one."""
    if journal.result:
        return Visibility(journal.result.get("visibility") or Visibility.NOT_KNOWN)
    begun = was_killed if mode in AT_ONCE[1:] else mode == AT_ONCE[0] and journal.has_sent
    in_doubt = begun or journal.completing_may_be_done or journal.stage in (Stage.PREPARED, Stage.COMMITTED)
    return Visibility.NOT_KNOWN if in_doubt else Visibility.NOT_VISIBLE


def of_load(staging: Staging, load_id: str, mode: str, was_killed: bool = False) -> Visibility:
    """The same of a load by its id; not known of one whose journal is damaged, or whose rows somebody has removed."""
    try:
        journal = Journal(staging, load_id)
    except DataError:
        return Visibility.NOT_KNOWN
    return of_journal(journal, mode, was_killed)


def sentence(report: Mapping[str, Any]) -> str:
    """The same in words, of a report as JSON; empty for one of an older version, which does not tell."""
    found, state, accepted = report.get("visibility", ""), report["state"], report["accepted"]
    if report.get("mode") == EXPIRE:
        return _of_expired(found, accepted)
    if found == Visibility.NOT_KNOWN:
        return _not_known(state, accepted)
    if found == Visibility.NOT_VISIBLE:
        has_sent = state == "failed" or (state in ENDED and report["rejected"])
        return "Nothing of this load is visible" if has_sent else "Nothing was sent"
    if not found or not accepted:
        return ""
    only = "; the others are not" if report["unsent"] > 0 else ""
    return f"{how_many(accepted, 'accepted row is', 'accepted rows are')} visible in the target{only}"


def _of_expired(found: str, accepted: int) -> str:
    """Of a load whose rows are the keys of records that are to go."""
    if found == Visibility.NOT_KNOWN:
        return "Whether records were made to expire is not known: the request that completes their batch has no answer"
    if accepted:
        return f"{how_many(accepted, 'record was', 'records were')} made to expire, a second after the batch"
    return "No record was made to expire" if found else ""


def _not_known(state: str, accepted: int) -> str:
    if state == "uploaded":
        return "The files are uploaded; whether their rows are visible is not known until their import is confirmed"
    if accepted:
        rows = how_many(accepted, "accepted row is", "accepted rows are")
        return f"{rows} visible; whether others are is not known: a request was sent, and not answered"
    return (
        "Whether rows of this load are visible is not known: the request that makes them so was sent, and no answer "
        "said what became of it"
    )
