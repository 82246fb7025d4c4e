"""One try of an operator, as a worker makes it."""

import uuid
from types import SimpleNamespace
from typing import Any


def context(operator: Any, run_id: str = "", try_number: int = 1, max_tries: int = 0) -> dict[str, Any]:
    """What an operator reads of its context; each call is a run of its own unless `run_id` is given."""
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(
        dag_id="dag",
        task_id=operator.task_id,
        run_id=run_id or str(uuid.uuid4()),
        map_index=-1,
        try_number=try_number,
        max_tries=max_tries,
        pushed=pushed,
        xcom_push=pushed.__setitem__,
    )
    return {"ti": ti, "task": operator}


def run(operator: Any, **try_: Any) -> Any:
    """The result of one try."""
    return operator.execute(context(operator, **try_))
