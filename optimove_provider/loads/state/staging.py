"""Where loads keep small JSON files between runs: the only state there is."""

import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.contract.wire.messages import json_body
from optimove_provider.disk import durable
from optimove_provider.disk.modes import PRIVATE, Modes, make_folders, open_private, set_modes
from optimove_provider.disk.room import NotWritten, telling
from optimove_provider.loads.state.retention import UNLESS_TOLD, Retention
from optimove_provider.surroundings import REAL, Surroundings

FOLDERS = frozenset(
    {"begun", "connections", "ledgers", "loads", "notices", "recreated", "reports", "samples", "targets", "tries"}
)
"""What lies directly in staging."""
ADVICE = "make room there, or name another place in [optimove] staging, and run the task again"


class TornFile(DataError):
    """A small file of staging that was not written to its end, so that what it said is lost."""


@dataclass(frozen=True, slots=True)
class Staging:
    """A folder on any fsspec file system. Paths are relative to it.

    It is handed to everything that a load does, and so are with it the `surroundings` that the load takes its time and
    chance from, and the `retention`: what is kept, and for how long. On a local disk files and folders have these
    `modes`, whatever the umask: customers' data are in them. Writing raises NotWritten there, which says what the disk
    lacks.
    """

    fs: AbstractFileSystem
    root: str
    surroundings: Surroundings = REAL
    modes: Modes = PRIVATE
    retention: Retention = UNLESS_TOLD

    @property
    def is_local(self) -> bool:
        """Whether it is on a disk of this machine, or one that looks so."""
        return "file" in self.fs.protocol

    def path(self, path: str) -> str:
        """The path as the file system itself wants it."""
        return self._at(path)

    def url(self, path: str) -> str:
        """The path as people and other tools can open it."""
        return str(self.fs.unstrip_protocol(self._at(path)))

    def read(self, path: str) -> dict[str, Any] | None:
        """The file's content, or None where there is no file. Raises TornFile for one that was cut short."""
        try:
            body = self.fs.cat_file(self._at(path))
        except FileNotFoundError:
            return None
        try:
            # A file that another process is just creating is still empty.
            return dict(json.loads(body or b"{}"))
        except (ValueError, TypeError):
            raise TornFile(
                f"{self.url(path)} was cut short, perhaps on a full disk: {len(body)} bytes that are no JSON. Make "
                "room. If it is one load's, below loads/, clear that task to begin a new load; any other one has to be "
                "restored, or removed if nothing of it is needed"
            ) from None

    def read_whole(self, path: str) -> dict[str, Any] | None:
        """The same, and None for a file that was cut short: for what is sent or read once more, if it is not known."""
        try:
            return self.read(path)
        except TornFile:
            return None

    def write(self, path: str, content: dict[str, Any]) -> str:
        """Write the whole file or nothing of it; returns its URL."""
        return self._write(path, json_body(content))

    def write_text(self, path: str, text: str) -> str:
        """Write a small text file whole; returns its URL."""
        return self._write(path, text.encode())

    def _write(self, path: str, body: bytes) -> str:
        place = self._at(path)
        self._make_folder(path)
        if self.is_local:
            with self._telling(path, len(body)):
                new = f"{path}.{secrets.token_hex(4)}.new"  # another process may write the same file at this moment
                with self._gone_if_broken(new), open_private(self._at(new), self.modes) as file:
                    file.write(body)
                    file.flush()
                    os.fsync(file.fileno())  # or a loss of power might leave a new name for nothing
                durable.move(self._local(new), self._local(path))  # or a log that is ahead would fall behind
        else:  # an object store shows an object whole
            self.fs.pipe_file(place, body)
        return self.url(path)

    def written_at(self, path: str) -> datetime | None:
        """When a file was last written, by the clock of staging; None where that does not say."""
        place = self._at(path)
        self.fs.invalidate_cache(place)
        return _written(self.fs.info(place))

    def create(self, path: str, content: dict[str, Any]) -> None:
        """Write a file that must not be there yet. Raises FileExistsError: of two callers at once, one wins."""
        self._make_folder(path)
        body = json_body(content)
        # Not pipe_file(mode="create"): on a local disk that looks first and writes then.
        with self._telling(path, len(body)), self._open(path, "x") as file, self._gone_if_broken(path):
            file.write(body)
            file.flush()

    def remove(self, path: str) -> None:
        """Remove a file."""
        self.fs.rm_file(self._at(path))

    def names(self, folder: str) -> list[str]:
        """The names in a folder; none where there is no folder."""
        place = self._at(folder)
        self.fs.invalidate_cache(place)  # another process may have written there
        try:
            return sorted(found.rstrip("/").rpartition("/")[2] for found in self.fs.ls(place, detail=False))
        except FileNotFoundError:
            return []

    def changed_at(self, folder: str) -> float | None:
        """When a file of a local folder last appeared, went, or was written anew, in epoch seconds; None where only
        listing the folder tells."""
        if not self.is_local:
            return None
        try:
            return os.stat(self._at(folder)).st_mtime
        except FileNotFoundError:
            return 0.0

    def files(self, folder: str, ending: str = "") -> dict[str, str]:
        """The files in a folder by name, each with what changes when it is written again; none where there is none."""
        listed = self._local_files(folder) if self.is_local else self._remote_files(folder)
        return {name: stamp() for name, stamp in listed if name.endswith(ending)}

    def _local_files(self, folder: str) -> Iterator[tuple[str, Callable[[], str]]]:
        """Much quicker than asking fsspec, where there are thousands."""
        with suppress(FileNotFoundError), os.scandir(self._at(folder)) as found:
            yield from ((one.name, partial(_stamp, one)) for one in found if one.is_file())

    def _remote_files(self, folder: str) -> Iterator[tuple[str, Callable[[], str]]]:
        place = self._at(folder)
        self.fs.invalidate_cache(place)
        with suppress(FileNotFoundError):
            for info in self.fs.ls(place, detail=True):
                if info["type"] == "file":
                    stamp = f"{info.get('ETag')} {_written(info)} {info.get('size')}"
                    yield info["name"].rpartition("/")[2], partial(str, stamp)

    def read_together(self, paths: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The contents of small files by their paths, all held at once; without those that are gone or cut short."""
        if self.is_local:
            found = ((path, self.read_whole(path)) for path in paths)
            return {path: content for path, content in found if content is not None}
        bodies = self.fs.cat([self._at(path) for path in paths], on_error="omit") if paths else {}
        by_place = {place.lstrip("/"): body for place, body in bodies.items()}
        found = ((path, _parsed(by_place.get(self._at(path).lstrip("/")))) for path in paths)
        return {path: content for path, content in found if content is not None}

    def link(self, path: str, new: str) -> None:
        """Give a file, which will never change, another name too; where a file has one name only, it is copied.

        On a disk, raises FileExistsError where another file has that name: a copy would overwrite it under all of its
        names.
        """
        self._make_folder(new)
        if not self.is_local:
            self.fs.cp_file(self.path(path), self.path(new))
            return
        try:
            os.link(self.path(path), self.path(new))
        except FileExistsError:
            if not os.path.samefile(self.path(path), self.path(new)):  # NFS may say so of its own answer that was lost
                raise
        except OSError:  # another disk, or one without links
            with self._telling(new, os.path.getsize(self.path(path))), open_private(self.path(new), self.modes) as to:
                self.fs.get_file(self.path(path), to)
        else:
            durable.sync_names(self._local(new).parent)

    def remove_folder(self, path: str) -> None:
        """Remove a folder with all that is in it, or a file; nothing happens where there is none."""
        with suppress(FileNotFoundError):
            self.fs.rm(self._at(path), recursive=True)

    def open_new(self, path: str) -> Any:
        """A binary file to write, as a context manager: on an object store it appears when it is closed.

        From then on it survives a loss of power, as what names it does: a log, or the intents and layers of a ledger.
        """
        self._make_folder(path)
        return self._open(path, "w", syncs=True)

    def open(self, path: str) -> Any:
        """A binary file to read, as a context manager. Raises FileNotFoundError."""
        self.fs.invalidate_cache(self._at(path))  # another process may have written it anew, and longer
        return self.fs.open(self._at(path), "rb")

    def sweep(self, folder: str, before: datetime, keep: Callable[[str], bool] = lambda name: False) -> list[str]:
        """Remove what lies directly in a folder and was last written to before an instant; returns the names.

        `keep` is asked with a name, and may spare it.
        """
        old = [name for name, written in self.newest(folder).items() if written < before and not keep(name)]
        for name in old:
            self.remove_folder(f"{folder}/{name}")
        return old

    def newest(self, folder: str) -> dict[str, datetime]:
        """What lies directly in a folder, each with when it, or anything in it, was last written to."""
        found: dict[str, datetime] = {}
        for path, written in self.files_below(folder).items():
            name = path.partition("/")[0]
            found[name] = max(found.get(name, _NEVER), written)
        return found

    def files_below(self, folder: str) -> dict[str, datetime]:
        """All files in a folder and below it, by their paths from there, each with when it was last written to."""
        root = f"{self._at(folder).rstrip('/')}/".lstrip("/")
        self.fs.invalidate_cache()  # what was listed before may have been written since
        listed = self.fs.find(self._at(folder), detail=True).items()
        return {path.lstrip("/").removeprefix(root): _written(info) or self.surroundings.now() for path, info in listed}

    @contextmanager
    def _gone_if_broken(self, path: str) -> Iterator[None]:
        """Remove a file that could not be written to its end."""
        try:
            yield
        except (OSError, NotWritten):
            with suppress(OSError):
                self.fs.rm_file(self._at(path))
            raise

    def _open(self, path: str, mode: str, syncs: bool = False) -> Any:
        if self.is_local:
            return open_private(self._local(path), self.modes, mode, ADVICE, syncs=syncs)
        return self.fs.open(self._at(path), f"{mode}b")

    def _telling(self, path: str, needed: int) -> AbstractContextManager[None]:
        return telling(self._local(path), needed, ADVICE) if self.is_local else nullcontext()

    def _at(self, path: str) -> str:
        return f"{self.root.rstrip('/')}/{path}"

    def _local(self, path: str) -> Path:
        return Path(self._at(path))

    def _make_folder(self, path: str) -> None:
        if not self.is_local:
            self.fs.makedirs(self._at(path).rpartition("/")[0], exist_ok=True)
            return
        with self._telling(path, 0):
            self._close_root()
            make_folders(self._local(path).parent, self.modes, below=Path(self.root))

    def _close_root(self) -> None:
        """Give the root its mode too, if it is there with another and nothing but ours is in it."""
        root = Path(self.root)
        if not root.exists():
            make_folders(root, self.modes)
        elif (root.stat().st_mode ^ self.modes.folder) & 0o777 and set(os.listdir(root)) <= FOLDERS:
            set_modes(root, self.modes)


_NEVER = datetime.min.replace(tzinfo=UTC)


def _stamp(entry: "os.DirEntry[str]") -> str:
    with suppress(FileNotFoundError):  # swept meanwhile
        found = entry.stat()
        return f"{found.st_mtime_ns} {found.st_size} {found.st_ino}"
    return ""


def _parsed(body: bytes | None) -> dict[str, Any] | None:
    try:
        return dict(json.loads(body)) if body else None
    except (ValueError, TypeError):
        return None


def _written(info: dict[str, Any]) -> datetime | None:
    """When a file was written; file systems differ in how they say it, and some do not."""
    written = info.get("LastModified") or info.get("last_modified") or info.get("mtime") or info.get("created")
    if isinstance(written, int | float):
        return datetime.fromtimestamp(written, UTC)
    if isinstance(written, datetime):
        return written if written.tzinfo else written.replace(tzinfo=UTC)
    return None
