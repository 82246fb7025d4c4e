"""One try of an operator, as a worker makes it."""

import asyncio
import json
import uuid
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred

from optimove_provider.triggers.dcp import DcpUploadTrigger


def context(operator: Any, run_id: str = "", try_number: int = 1, max_tries: int = 0) -> dict[str, Any]:
    """What an operator reads of its context; each call is a run of its own unless `run_id` is given."""
    ti = SimpleNamespace(
        dag_id="dag",
        task_id=operator.task_id,
        run_id=run_id or str(uuid.uuid4()),
        map_index=-1,
        try_number=try_number,
        max_tries=max_tries,
    )
    return {"ti": ti, "task": operator}


def run(operator: Any, **try_: Any) -> Any:
    """The result of one try."""
    return operator.execute(context(operator, **try_))


def finished(operator: Any, **try_: Any) -> Any:
    """The result of a task that waits for an import, in the triggerer too if it defers, as Airflow does it."""
    try_context = context(operator, **try_)
    try:
        return operator.execute(try_context)
    except TaskDeferred as deferred:
        _, kwargs = deferred.trigger.serialize()  # type: ignore[union-attr]  # it has one
        trigger = DcpUploadTrigger(**{**json.loads(json.dumps(kwargs)), "first_poll_seconds": 0})
        payload = json.loads(json.dumps(asyncio.run(anext(trigger.run())).payload))
        event = {**(deferred.kwargs or {}), "event": payload}
        return operator.resume_execution(deferred.method_name, event, try_context)
