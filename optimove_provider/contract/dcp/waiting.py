"""Waiting for imports, whatever tells about them: the upload history, or profiles that are read back. No I/O here."""

from collections.abc import Callable

from optimove_provider.contract.dcp.upload_history import ImportState, Outcome
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.contract.wire.messages import Flow, Sleep

MAX_FAILED_POLLS = 3
"""Polls in a row that may fail for a reason that passes: the wait goes on, the next one counts again."""

LONGEST_ASKED = 3600.0
"""Seconds: a server that asks to be left alone for longer ends the wait, with an error that quotes it."""

Ask = Callable[[], Flow[Outcome]]
"""Begins a conversation that says how far the files are."""


def tolerable(error: OptimoveProviderError, failed_polls: int, max_failed_polls: int) -> bool:
    """Whether a wait goes on after its `failed_polls`-th failure in a row."""
    return error.retry_helps and failed_polls <= max_failed_polls and error.asked_seconds <= LONGEST_ASKED


def wait(
    ask: Ask,
    poll_seconds: float,
    max_failed_polls: int = MAX_FAILED_POLLS,
    is_enough: Callable[[Outcome], bool] = lambda outcome: False,
) -> Flow[Outcome]:
    """Ask every `poll_seconds` until every file is imported or one has failed, or what is known before `is_enough`.

    A failed poll is followed by the wait that its answer asks for, if that is longer. Raises what asking raises: at
    once where only a person can help, or where more than `LONGEST_ASKED` is asked for, else after `max_failed_polls`
    in a row.
    """
    failed_polls = 0
    while True:
        try:
            outcome = yield from ask()
        except OptimoveProviderError as error:
            failed_polls += 1
            if not tolerable(error, failed_polls, max_failed_polls):
                raise
            pause = max(poll_seconds, error.asked_seconds)
            yield Sleep(pause, f"failed poll {failed_polls} of at most {max_failed_polls} in a row: {error}")
            continue
        failed_polls = 0
        if outcome.state is not ImportState.WAIT or is_enough(outcome):
            return outcome
        yield Sleep(poll_seconds, outcome.sentence)
