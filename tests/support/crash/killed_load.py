"""A load over a real socket, which may end its own process with SIGKILL at a chosen point."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import fsspec

from optimove_provider.clients.http.drive import Send
from optimove_provider.clients.http.transport import Transport
from optimove_provider.clients.optix import OptixClient
from optimove_provider.loads.optix.load import load
from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.staging import Staging
from optimove_provider.options import Sending
from tests.support.optix_target import LOAD_ID, SETTINGS, numbered, opened


@dataclass(frozen=True)
class Course:
    """A load of `rows` rows; `poison` are the numbers of those that the server refuses."""

    url: str
    data_connection_uuid: str
    staging: str
    rows: int
    poison: list[int] = field(default_factory=list)
    max_in_flight: int = 1
    protocol: str = "file"
    options: dict[str, Any] = field(default_factory=dict)

    def run(self, send: Send | None = None, watch: Callable[[Iterator[Any]], Any] = iter) -> Report:
        report = Report(LOAD_ID, {})
        staging = Staging(fsspec.filesystem(self.protocol, **self.options), self.staging)
        target = OptixTarget(self.data_connection_uuid, "id")
        wanted = UploadOptions(target, max_rejected=len(self.poison), sending=Sending(max_in_flight=self.max_in_flight))
        settings = replace(SETTINGS, host=f"{self.url}/api/data-connections/v1")
        with OptixClient(settings, send=send) as client:
            rows = watch(numbered(self.rows, poison=self.poison))
            load(client, lambda: opened(rows), staging, report, wanted)
        return report


class Killer:
    """Counts, and kills."""

    def __init__(self, point: str) -> None:
        self._event, number = point.split()
        self._left = int(number)
        self._transport = Transport(timeout_seconds=30)

    def send(self, request: Any) -> Any:
        self._meet("before")
        answer = self._transport(request)
        self._meet("after")
        return answer

    def watch(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            self._meet("batch")
            yield batch

    def _meet(self, event: str) -> None:
        self._left -= event == self._event
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def run_killed(course: Course, point: str) -> None:
    """Run until a point: "batch 3" (of the source), "before 2" or "after 2" (a request)."""
    killer = Killer(point)
    course.run(killer.send, killer.watch)
