"""How a watched task was last found, in staging: callbacks do not run after a kill, and a retry wipes XCom."""

import json
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from optimove_provider.contract.wire.messages import json_body

if TYPE_CHECKING:
    from optimove_provider.loads.state.staging import Staging

_WATCHED = uuid.uuid5(uuid.NAMESPACE_URL, "https://pypi.org/project/airflow-provider-optimove/notices")


@dataclass(frozen=True, slots=True)
class Found:
    """How a task was found, and since when, as an ISO text in UTC. `watched` says which task, and what of it."""

    watched: str
    is_well: bool = True
    since: str = ""

    @property
    def path(self) -> str:
        """The file in staging."""
        return f"notices/{uuid.uuid5(_WATCHED, self.watched)}.json"


def told_once(staging: "Staging", found: Found, tell: Callable[[Found], object]) -> None:
    """Call `tell`, with how the task was found before, if that has changed; of two that find it at once, one does.

    A task that nobody has watched yet was well. Where telling raises, the next one who finds it so tries again.
    """
    before, swap = _seen(staging, found)
    if before.is_well == found.is_well or not swap(found):
        return
    try:
        tell(before)
    except BaseException:
        now, swap_back = _seen(staging, found)
        if now == found:
            swap_back(before)
        raise


def _seen(staging: "Staging", found: Found) -> tuple[Found, Callable[[Found], bool]]:
    """What staging has, and what replaces it, if it still is that."""
    from optimove_provider.loads.state.compare_and_swap import read, replace, supports_compare_and_swap

    path = staging.path(found.path)
    if not supports_compare_and_swap(staging.fs):  # then two at once may both tell
        return _read(found, staging.read_whole(found.path)), lambda new: bool(staging.write(new.path, asdict(new)))
    seen = read(staging.fs, path)
    content = json.loads(seen.body) if seen.body else None
    return _read(found, content), lambda new: replace(staging.fs, path, json_body(asdict(new)), seen, staging.modes)


def _read(found: Found, content: Any) -> Found:
    return Found(**content) if content else Found(found.watched)
