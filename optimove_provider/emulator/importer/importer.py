"""The S3 importer: notices files, lets them wait as the switches say, and writes their rows into the tables.

No I/O of its own: it lists and reads through the state's ObjectStore, in constant memory. Nothing runs by
itself; `advance` is called whenever somebody asks for history, uploads or state. When a real import starts
and how long it takes is documented nowhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from optimove_provider.emulator.importer.csv_file import BadFile, Row, read_rows
from optimove_provider.emulator.model.dcp import Table
from optimove_provider.emulator.model.object_store import StoredObject
from optimove_provider.emulator.model.state import State
from optimove_provider.emulator.model.upload import Upload


def advance(state: State, polled_table: int | None = None) -> None:
    """Notice new files, finish those whose time has come. `polled_table`: of which somebody wants to know."""
    for upload in state.uploads:
        _progress(state, upload)
    for found in state.objects.list():
        if found not in state.noticed:
            state.noticed.add(found)
            _notice(state, found)
    for table in state.tables.values():
        table.show_written(state.clock())
    for upload in state.uploads:
        if upload.table_id == polled_table and not upload.finished:
            upload.polls += 1


def _notice(state: State, found: StoredObject) -> None:
    """Make an upload of a file that lies under a table's S3 path; sub-folders count too (inferred)."""
    for table in state.tables.values():
        if found.key.startswith(f"{table.path}/") and not _is_ignored(state, found):
            if any(earlier.found.key == found.key and not earlier.finished for earlier in state.uploads):
                state.violations.append(
                    f"{found.key} was put again before the earlier file of this name was processed: the "
                    "guide warns that they can be processed out of order"
                )
            upload = Upload(found, table.id, state.clock(), state.timestamp())
            state.uploads.append(upload)
            _progress(state, upload)


def _is_ignored(state: State, found: StoredObject) -> bool:
    return found.size >= state.switches.import_limit_bytes and state.switches.too_large == "ignored"


def _progress(state: State, upload: Upload) -> None:
    if not upload.finished:
        if _due(state, upload):
            _import(state, upload, state.tables[upload.table_id])
            _take_away(state, upload.found)
        elif _under_way(state, upload):
            upload.status = "processing"


def _take_away(state: State, found: StoredObject) -> None:
    """What becomes of an object when its import is over."""
    if state.switches.object_after_import != "keep":
        moved = f"imported/{found.key}" if state.switches.object_after_import == "move" else None
        state.objects.take_away(found, moved)


def _due(state: State, upload: Upload) -> bool:
    waited = state.clock() - upload.noticed
    return upload.polls >= state.switches.import_after_polls and waited >= state.switches.import_after_seconds


def _under_way(state: State, upload: Upload) -> bool:
    """A file is pending when it is first asked for, and for half of the seconds that its import takes."""
    waited = state.clock() - upload.noticed
    return upload.polls > 0 or 0 < state.switches.import_after_seconds / 2 <= waited


def _import(state: State, upload: Upload, table: Table) -> None:
    if ordered := state.faults.meet_import(upload.found.key):
        upload.status, upload.message = "failed", ordered.message
        return
    try:
        if upload.found.size >= state.switches.import_limit_bytes:
            raise BadFile(f"{upload.found.size} bytes: files must be under {state.switches.import_limit_bytes}")
        if table.archived:  # a guess
            raise BadFile("the table is archived")
        _count_bad_rows(state, upload, table)
        if upload.rows_failed and state.switches.row_failure == "file":
            raise BadFile(upload.message)
        _write(state, upload, table)
    except BadFile as error:
        upload.status, upload.message = "failed", str(error)


@contextmanager
def _rows(state: State, upload: Upload, table: Table) -> Iterator[Iterator[Row]]:
    with state.objects.read(upload.found) as stream:
        yield read_rows(stream, upload.found.key, table, state.switches)


def _count_bad_rows(state: State, upload: Upload, table: Table) -> None:
    """Read the file once without writing."""
    with _rows(state, upload, table) as rows:
        for row in rows:
            if row.error:
                upload.rows_failed += 1
                upload.message = upload.message or row.error


def _write(state: State, upload: Upload, table: Table) -> None:
    """Write every good row, an update of a profile each."""
    readable = state.clock() + state.switches.profile_lag_seconds
    with _rows(state, upload, table) as rows:
        for row in rows:
            if not row.error:
                table.upsert(row.customer_id, row.values, readable)
                upload.rows_processed += 1
    upload.status = "completed"
