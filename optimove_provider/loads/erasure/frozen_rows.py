"""A key taken out of what loads left in staging while they ran: `loads/<load id>/`.

Of a finished load only its story is left. One that never ended, and that no ledger waits for, loses its rows as a
whole: what a retry has of them must stay as it was, or go.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from optimove_provider.loads.erasure.forgotten_key import ForgottenKey
from optimove_provider.loads.erasure.kept_files import RejectedRows, unsaid
from optimove_provider.loads.erasure.ledger_rows import holds
from optimove_provider.loads.spool.frozen_parts import KEYS
from optimove_provider.loads.state.journal import given_up
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.read.waiting_rows import AS_READ, WaitingRows
from optimove_provider.records.rows import Unread

_PARQUET = ".parquet"


def forget_in_loads(
    staging: Staging,
    key: ForgottenKey,
    is_wanted: Callable[[str], bool],
    rejected: Mapping[str, RejectedRows],
    change: bool = True,
) -> Iterator[str]:
    """Tell what goes, a sentence for each load, and, with `change`, do it; of loads whose id is wanted only.

    `rejected` tells, by the loads' ids, which rejected rows were the key's.
    """
    for load_id in staging.names("loads"):
        if not is_wanted(load_id):
            continue
        folder = f"loads/{load_id}"
        story = staging.read_whole(f"{folder}/load.json")
        if story and story.get("result") is not None:
            yield from _forget_of_finished(staging, load_id, story, key, rejected.get(load_id, ()), change)
        elif _has(staging, folder, key) or (story and key.without(story) != story):
            if change:
                _give_up(staging, folder, story)
            yield (
                f"all frozen rows of load {load_id}, which did not end: clear its task to begin a new load, if it is "
                "still to run"
            )


def _forget_of_finished(
    staging: Staging,
    load_id: str,
    story: dict[str, Any],
    key: ForgottenKey,
    rejected: RejectedRows | tuple[()],
    change: bool,
) -> Iterator[str]:
    folder = f"loads/{load_id}"
    cleaned = key.without({**story, "result": unsaid(story["result"], rejected)})
    if cleaned != story:
        if change:
            staging.write(f"{folder}/load.json", cleaned)
        yield f"the story of load {load_id}"
    if late := list(_left_late(staging, folder, key)):
        for path in late if change else ():
            staging.remove(path)
        yield f"rows that a task of load {load_id} has frozen after it had ended"


def _left_late(staging: Staging, folder: str, key: ForgottenKey) -> Iterator[str]:
    """What has the key beside the story of a load that has ended: a task that was taken for dead has left it."""
    for path in _files(staging, folder):
        if path != f"{folder}/load.json" and _holds(staging, path, key):
            yield path


def _give_up(staging: Staging, folder: str, story: dict[str, Any] | None) -> None:
    """If anything may have been sent, a retry must not begin at the first batch once more."""
    staging.remove_folder(folder)
    if story and story.get("has_sent"):
        staging.write(f"{folder}/load.json", given_up())


def _has(staging: Staging, folder: str, key: ForgottenKey) -> bool:
    return any(_holds(staging, path, key) for path in _files(staging, folder))


def _holds(staging: Staging, path: str, key: ForgottenKey) -> bool:
    if path.endswith(_PARQUET):
        return holds(staging, path, key)
    if path.endswith(AS_READ):
        return _is_in_source(staging, path, key, _is_in)
    if path.endswith(KEYS):
        return _is_in_source(staging, path, key, _is_in_keys)
    if path.endswith((".json", ".jsonl", ".csv", ".new")):
        with staging.open(path) as file:
            return any(key.in_words(line) != line for line in (raw.decode("utf-8", "replace") for raw in file))
    return False


def _is_in_source(
    staging: Staging, path: str, key: ForgottenKey, is_in: Callable[[pa.RecordBatch | Unread, ForgottenKey], bool]
) -> bool:
    """Whether rows, or keys, as their source gave them have the key. What cannot be read any more is of no use, and may
    have it."""
    try:
        with staging.open(path) as file:
            return any(is_in(item, key) for item in WaitingRows(file).take_up())
    except (EOFError, pa.ArrowInvalid):
        return True


def _is_in_keys(item: pa.RecordBatch | Unread, key: ForgottenKey) -> bool:
    found = [] if isinstance(item, Unread) else item["key"].to_pylist()
    return any(key.is_meant_by(one.decode("utf-8", "replace")) for one in found)


def _is_in(item: pa.RecordBatch | Unread, key: ForgottenKey) -> bool:
    if isinstance(item, Unread):
        return key.in_words(item.text) != item.text
    columns = (column.storage if isinstance(column, pa.ExtensionArray) else column for column in item.columns)
    return any(_is_value(value, key) for column in columns for value in column.to_pylist())


def _is_value(value: Any, key: ForgottenKey) -> bool:
    if isinstance(value, dict | list):
        return any(_is_value(one, key) for one in (value.values() if isinstance(value, dict) else value))
    return value is not None and (str(value) == key.text or key.is_meant_by(value))


def _files(staging: Staging, folder: str) -> Iterator[str]:
    """All files below a folder; what has no ending is a folder."""
    for name in staging.names(folder):
        path = f"{folder}/{name}"
        if "." in name:
            yield path
        else:
            yield from _files(staging, path)
