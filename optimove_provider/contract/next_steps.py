"""What a person does next after each outcome: the one table of it. No I/O here.

An error's class names its row as `then`; a report, its page, the log and the task's result say the row's text.
"""

from enum import StrEnum


class NextStep(StrEnum):
    """A row each. Those of RETRIES hold only while Airflow has a try left; GOES_ON only where a load can go on."""

    CLEAR = "Clear the task: that begins a new load, which reads the source again"
    MEND_SETTING = "Mend the parameter or the setting that is named, then Clear the task"
    MEND_CONNECTION = "Mend the connection under Admin > Connections, then Clear the task"
    MEND_COLUMNS = (
        "Compare primary_key, key_type and the columns of the source with the data connection, mend what differs, then "
        "Clear the task"
    )
    MEND_REQUEST = "Mend what the answer names, or the host of the connection, then Clear the task"
    MAKE_ANEW = (
        "Run the task that creates the data connection with recreate= set to the uuid that is gone, then Clear this one"
    )
    MEND_SOURCE = "Mend the source, then Clear the task"
    MEND_ROWS = "Mend the rejected rows and replay their file; or raise max_rejected, and Clear the task"
    MEND_ALL_ROWS = "Mend the rejected rows where they come from, or raise max_rejected; then Clear the task"
    CHANGE_GUARD = (
        "If the source is wrong, mend it; if this is meant, change the guard that is named; then Clear the task"
    )
    SPEND_MORE = "Mend the source by what was refused, or raise max_bisect_requests, then Clear the task"
    LOOK = "Look at what exists and at what was asked for, mend one of them, then Clear the task"
    APPROVE_AGAIN = "Clear the task that plans, with those after it, and have the new plan approved"
    MEND_STORE = "Mend the keys of the store, or its bucket, then Clear the task"
    MEND_STAGING = "Restore the file in staging, or begin that ledger anew, as the error says; then Clear the task"
    CLEAR_GROUP = (
        "Clear the first task of the group, with all that come after it: that begins a new load, which reads the "
        "source again"
    )
    CLEAR_COMMIT = "Clear the task that commits: it goes on from what the others have sent"
    CLEAR_FAILED = (
        "Mend what the failed task says, and Clear that task with all that comes after it: what was sent is not sent "
        "again, unless another load has come in between"
    )
    CLEAR_NAMED = "Clear the tasks that it names, with all that come after them (Downstream)"
    LOOK_AT_HISTORY = "Look at the upload history in the vendor's pages, then Clear the task"
    REPORT_IT = 'Report it as a fault of this package; Clear the task with mode="full" to be safe'

    GOES_ON = "A retry of this task goes on from here"
    SENDS_AGAIN = "A retry of this task sends everything again"
    PLANS_AGAIN = "A retry of this task waits for its turn, and plans again from the rows that it has read"
    BEGINS_ANEW = "A retry of this task reads the source again"
    WAITS_ON = "A retry of this task waits on"


def by_command(step: NextStep) -> str:
    """The row for a load that no task has made, but a command: it is run again, where a task is cleared."""
    return step.replace("Clear the task", "run the command again").replace("Clear this one", "run this one again")


RETRIES = frozenset(
    {NextStep.GOES_ON, NextStep.SENDS_AGAIN, NextStep.PLANS_AGAIN, NextStep.BEGINS_ANEW, NextStep.WAITS_ON}
)
