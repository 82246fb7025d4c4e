"""Which load a task's try belongs to: Airflow's retries share one, a Clear begins another."""

import uuid
from collections.abc import Collection
from dataclasses import astuple, dataclass

from optimove_provider.contract.wire.messages import json_body
from optimove_provider.loads.state.staging import Staging

_LOADS = uuid.uuid5(uuid.NAMESPACE_URL, "https://pypi.org/project/airflow-provider-optimove/loads")


@dataclass(frozen=True, slots=True)
class TaskTry:
    """One try of one task instance, in Airflow's own words. `retries` is the task's setting.

    A Clear raises `max_tries` by the tries that were made, so the same `max_tries` means the same round of retries.
    """

    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    try_number: int
    max_tries: int
    retries: int

    @property
    def round(self) -> str:
        """What all tries of one round of retries have in common, as a UUID."""
        dag_id, task_id, run_id, map_index, _, max_tries, retries = astuple(self)
        return str(uuid.uuid5(_LOADS, json_body([dag_id, task_id, run_id, map_index, max_tries, retries]).decode()))

    @property
    def path(self) -> str:
        """The file in staging that tells of the tries of a round; each try writes it."""
        return f"tries/{self.round}.json"


def begin(staging: Staging, task_try: TaskTry) -> str:
    """The id of the load that this try begins or takes up again; a resumed task keeps the id of its deferral instead.

    A try that staging has seen before is no retry: the run was deleted and made again, or `retries` was edited. It
    begins a load of its own; so does one of which staging knows nothing, whatever it knew once, since a batch that was
    completed must never be opened again. Loads of one round differ by `n`, the nanosecond at which they began.
    """
    path = task_try.path
    seen = staging.read_whole(path)
    n = seen["n"] if seen and seen["try"] < task_try.try_number else staging.surroundings.nanoseconds()
    staging.write(path, {"n": n, "try": task_try.try_number})
    return _id_of(task_try.round, n)


def _id_of(round_: str, n: int) -> str:
    return str(uuid.uuid5(uuid.UUID(round_), str(n)))


def rounds_of(staging: Staging, load_ids: Collection[str]) -> dict[str, str]:
    """The files that tell of the tries of these loads, as far as there are any, each with its load."""
    resumed = {f"tries/{load_id}-resumed.json": load_id for load_id in load_ids}
    paths = [f"tries/{name}" for name in staging.names("tries")]
    found = {path: resumed[path] for path in paths if path in resumed}
    for path, seen in staging.read_together([path for path in paths if path not in resumed]).items():
        load_id = _id_of(path.split("/")[1].removesuffix(".json"), seen["n"]) if "n" in seen else ""
        if load_id in load_ids:
            found[path] = load_id
    return found
