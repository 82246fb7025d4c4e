"""Orders to try: what each does, and the JSON that a form sends, or a person copies. No I/O here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Example:
    """One order. `does`: what a load meets then."""

    does: str
    members: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The order as JSON."""
        return json.dumps(self.members)


FAULTS = (
    Example(
        "The next three uploads to Opti-X are answered 429: a load waits as long as it is told, and goes on.",
        {"endpoint": "upload_data", "status": 429, "headers": {"Retry-After": "2"}, "times": 3},
    ),
    Example(
        "The connection breaks after the next upload was accepted: the load cannot know, and sends it again.",
        {"endpoint": "upload_data", "lost": "after"},
    ),
    Example(
        "Every second request to any endpoint fails, ten times in all.",
        {"endpoint": "*", "status": 503, "every": 2, "times": 10},
    ),
    Example(
        "Opti-X refuses the API key once: the task fails, and no retry is tried.",
        {"endpoint": "upload_data", "status": 401, "body": '{"message": "Unauthorized"}'},
    ),
    Example(
        "The next file for DCP fails to import: the sensor turns red.",
        {"import": "", "message": "row 17: LTV is no long"},
    ),
)

SWITCHES = (
    Example(
        "Opti-X refuses each record that holds the text 00004: a load finds those rows, and the others land.",
        {"poison": "00004"},
    ),
    Example("An import into DCP takes a minute.", {"import_after_seconds": 60}),
    Example("DCP imports the good rows of a file, instead of none of them.", {"row_failure": "row"}),
    Example("Opti-X shows what it has accepted only half a minute later.", {"visible_after_seconds": 30}),
    Example("Opti-X takes 20 requests in ten seconds, and answers 429 to more.", {"requests_per_10s": 20}),
)
