"""What became of rows that are owed to a target, in the words of a report: they are none of the source's rows."""

from collections.abc import Mapping
from typing import Any

OWED: Mapping[str, str] = {
    "sent": "sent again",
    "accepted": "accepted",
    "rejected_again": "rejected again",
    "dropped": "dropped",
    "added": "newly owed",
    "left": "left",
}


def owed_counts(found: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Of a report's `owed` what is not zero, with its words."""
    return [(words, int(found[name])) for name, words in OWED.items() if found.get(name)]
