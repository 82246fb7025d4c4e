"""Every error that this package raises on purpose: no I/O here.

`retry_helps` is the one fact that an operator needs: whether the same task, run again, may succeed.
"""

from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.messages import Answer, Endpoint, Lost, Response
from optimove_provider.contract.wire.outside import MAX_TEXT as MAX_TEXT
from optimove_provider.contract.wire.outside import cut
from optimove_provider.contract.wire.shown import shown_lines
from optimove_provider.contract.wire.success import AnswerMeaning, contradiction, judge


class OptimoveProviderError(Exception):
    """The root. `retry_helps` is False where only a person can mend the cause.

    A long message is cut, and what does not show is escaped: drivers and libraries say what rows and files hold.
    """

    retry_helps = False
    then = NextStep.CLEAR
    """What a person does next."""
    told = ""
    """What the log has said of it already, in the words of a report: with what is visible, and what to do next."""
    asked_seconds = 0.0
    """For how long a server asks to be left alone: to ask again sooner is no help."""

    def __init__(self, *told: object) -> None:
        super().__init__(*(shown_lines(cut(text)) if isinstance(text, str) else text for text in told))


class SettingsError(OptimoveProviderError):
    """A connection, or a call, lacks something or contradicts itself. One error names everything that is missing."""

    then = NextStep.MEND_SETTING


class DataError(OptimoveProviderError):
    """The rows cannot be sent as they are. The text names the row, the column, the value and what is expected."""

    then = NextStep.MEND_SOURCE


class Disagreement(OptimoveProviderError):
    """What exists at the vendor is not what was asked for. The text says both, and what to do."""

    then = NextStep.LOOK


class S3Refused(OptimoveProviderError):
    """S3 refused for good: the keys, the table's own or those of the connection's `aws_conn_id`, or the bucket."""

    then = NextStep.MEND_STORE


class S3Trouble(OptimoveProviderError):
    """S3 refused for a reason that may pass, says its error code: it is busy, a clock is wrong, keys have expired."""

    retry_helps = True
    then = NextStep.GOES_ON


class UnreadableAnswer(OptimoveProviderError):
    """A 2xx whose body lacks what the vendor documents. The body is not shown: a table's holds AWS keys."""

    then = NextStep.MEND_CONNECTION
    next_step = "Check that the connection's host is the vendor's API, and no login page or proxy"

    def __init__(self, endpoint: Endpoint, response: Response, lacks: str):
        self.endpoint = endpoint
        told = response.shown(lacks, MAX_TEXT)
        super().__init__(f"{endpoint.name}: the answer {response.status} ({response.size}) lacks {told}")


class UnreadableCreation(UnreadableAnswer):
    """What was to be created once is there, perhaps, and the answer does not say under which name it is known."""

    next_step = (
        "Look in the Opti-X UI whether it is there, and pass its uuid as data_connection_uuid= to the next run; "
        "check that the connection's host is the vendor's API, too"
    )


class ApiError(OptimoveProviderError):
    """The vendor answered, and not with success. `status` is the HTTP status, `text` its body, cut.

    `next_step` is said once it is known which connection it is about; {keys} are the fields that hold its keys.
    """

    next_step = ""

    def __init__(self, endpoint: Endpoint, response: Response):
        self.endpoint = endpoint
        self.status = response.status
        self.repeated, self.asked_seconds = response.repeated, response.asked_seconds
        self.meaning = judge(response)
        self.text = cut(response.shown(response.text, MAX_TEXT))
        tries = f" ({response.tries})" if response.tries else ""
        super().__init__(f"{endpoint.method} {endpoint.name} was answered {self.status}{self.said(response)}{tries}")

    @property
    def certainly_not_done(self) -> bool:
        """Whether nothing came of the request, nor of an earlier try of it."""
        return self.meaning in (AnswerMeaning.REFUSED, AnswerMeaning.NOT_NOW) and not self.repeated

    def said(self, response: Response) -> str:
        """What the answer said."""
        return f": {self.text}" if self.text else " with an empty body"


class AuthenticationError(ApiError):
    """401 or 403: a wrong, expired or too weak key."""

    next_step = "Check {keys} in the connection: a key is wrong or expired, or may not do this"
    then = NextStep.MEND_CONNECTION


class Refused(ApiError):
    """Another 4xx, or a redirect (never followed: the keys would go along): wrong, and would be wrong again."""

    next_step = "Mend what the answer names, or check the connection's host: a retry would be refused again"
    then = NextStep.MEND_REQUEST


class TargetGone(Refused):
    """404 about a data connection: it is not known there, or not any more."""

    next_step = (
        "It was deleted there, or an emulator was reset, or the connection's host is another one. Make it anew with "
        "recreate= of OptixCreateConnectionOperator, set to this uuid, and clear that task with those after it: what "
        "it had is gone, and so is its ledger here, and campaigns that name the uuid have to be given the new one"
    )
    then = NextStep.MAKE_ANEW

    def __init__(self, endpoint: Endpoint, response: Response, uuid: str):
        super().__init__(endpoint, response)
        told = f"data connection {uuid} is not known there (any more): {self}"
        self.args = (told,)


class ServerTrouble(ApiError):
    """408, 429, 5xx or another status that says nothing about the request itself."""

    retry_helps = True
    then = NextStep.GOES_ON
    next_step = "Run the task again later; if it lasts, ask the vendor"


class DoubtfulSuccess(ServerTrouble):
    """A 2xx that is no success: what became of the work is in doubt, as after a lost answer.

    Of its body only what says so is shown: a table's holds AWS keys.
    """

    next_step = "Run the task again, which finds out; if it lasts, check the connection's host, and proxies"

    def said(self, response: Response) -> str:
        """Why it is none."""
        self.text = contradiction(response)
        return f", which is no success: {self.text} ({response.size}). Whether it was carried out is not known"


class Unreachable(OptimoveProviderError):
    """No answer came, however often it was tried."""

    retry_helps = True
    then = NextStep.GOES_ON
    next_step = "Check the connection's host, and proxies, and run the task again"

    def __init__(self, endpoint: Endpoint, lost: Lost):
        self.endpoint = endpoint
        self.sent = lost.sent
        super().__init__(f"{endpoint.method} {endpoint.name} got no answer: {lost.reason}")


def may_be_done(error: BaseException) -> bool:
    """Whether something may have come of the request that failed with this error, or of an earlier try of it."""
    if isinstance(error, ApiError):
        return not error.certainly_not_done
    return error.sent if isinstance(error, Unreachable) else not isinstance(error, OptimoveProviderError)


def succeed(endpoint: Endpoint, answer: Answer | None) -> Response:
    """The response when it is a success; otherwise the error that fits it is raised."""
    if isinstance(answer, Lost):
        raise Unreachable(endpoint, answer)
    if answer is None:
        raise TypeError(f"{endpoint.name}: the driver sent no answer")
    meaning = judge(answer)
    if meaning is AnswerMeaning.DONE:
        return answer
    if answer.ok:
        raise DoubtfulSuccess(endpoint, answer)
    if answer.status in (401, 403):
        raise AuthenticationError(endpoint, answer)
    if meaning is AnswerMeaning.REFUSED or 300 <= answer.status < 400:
        raise Refused(endpoint, answer)
    raise ServerTrouble(endpoint, answer)
