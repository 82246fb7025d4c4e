"""A task instance as Airflow keeps it: which try comes next, and how many there may be.

`tests/on_airflow/test_tries.py` holds it to a real one.
"""

from dataclasses import dataclass

RETRIES = 2


@dataclass(kw_only=True)
class TaskInstance:
    """`state` is Airflow's word; None: it is to be scheduled."""

    retries: int = RETRIES
    try_number: int = 0
    max_tries: int = RETRIES
    state: str | None = None

    def schedule(self) -> None:
        """The next try: another one, but where it was deferred."""
        self.try_number += self.state != "deferred"
        self.state = "scheduled"

    def run(self) -> None:
        """A worker has it."""
        self.state = "running"

    def defer(self) -> None:
        """It waits for its trigger."""
        self.state = "deferred"

    def succeed(self) -> None:
        """It is done."""
        self.state = "success"

    def fail(self, retry_helps: bool = True) -> None:
        """It raised, or its process is gone. One that was cleared while it ran goes on whatever the count says."""
        may = self.state == "restarting" or (retry_helps and self.try_number <= self.max_tries)
        self.state = "up_for_retry" if may else "failed"

    def clear(self) -> None:
        """As a person does: a new round of tries; while it runs, its process is ended and the same round goes on."""
        if self.state == "running":
            self.state = "restarting"
            return
        self.max_tries, self.state = self.try_number + self.retries, None

    def mark_failed(self) -> None:
        """As a person does."""
        self.state = "failed"

    def delete(self) -> None:
        """Its run is deleted, and made again."""
        self.try_number, self.max_tries, self.state = 0, self.retries, None
