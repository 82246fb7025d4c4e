"""Compare-and-swap of one small file: it is replaced only where it still is what the caller read.

On local disks, and network disks that lock like them, under a file lock; on S3 with If-Match. Other file systems know
no such thing.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.disk import durable
from optimove_provider.disk.modes import PRIVATE, Modes, make_folders, open_private, removed_if_broken
from optimove_provider.disk.room import telling

# What S3 answers where the condition is not met: another write came first, is under way, or the object is gone.
_NOT_MET = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409", "NoSuchKey", "404"})

_TAG_OF_ANOTHER = f'"{"0" * 32}"'


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it was read: its bytes, and the tag that a replacement must still find. Both None: no file."""

    body: bytes | None
    tag: Any


def supports_compare_and_swap(fs: AbstractFileSystem) -> bool:
    """Whether a file of this file system can be replaced only if it is still the one that was read."""
    return _is_local(fs) or _is_s3(fs)


def read(fs: AbstractFileSystem, path: str) -> Seen:
    """The file as it is now. Raises SettingsError where the file system has no compare-and-swap."""
    if _is_local(fs):
        body = _read_local(_local(fs, path))
        return Seen(body, body)
    if _is_s3(fs):
        return _read_s3(fs, path)
    raise SettingsError(f"{fs.unstrip_protocol(path)} cannot be replaced by compare-and-swap: use a local disk or S3")


def replace(fs: AbstractFileSystem, path: str, body: bytes, seen: Seen, modes: Modes = PRIVATE) -> bool:
    """Put `body` in the place of what was seen; False, and nothing done, where that is no longer there. On a local disk
    the file has these modes, and NotWritten is raised where that takes no more."""
    if _is_local(fs):
        with telling(_local(fs, path), len(body)):
            return _replace_local(_local(fs, path), body, seen, modes)
    if not _replace_s3(fs, path, body, seen):
        # An answer may have been lost and the request repeated: then it is our own write that is in the way.
        return _read_s3(fs, path).body == body
    if seen.tag is None:
        _check_conditions(fs, path, body)
    return True


def _check_conditions(fs: AbstractFileSystem, path: str, body: bytes) -> None:
    """Try to write a new file once more under each condition, which is not met. Raises SettingsError, and leaves no
    file, where the storage does so: some clones of S3 know one of the two, or none, and say nothing."""
    unmet = {"If-None-Match": Seen(None, None), "If-Match": Seen(b"", _TAG_OF_ANOTHER)}
    ignored = [name for name, seen in unmet.items() if _replace_s3(fs, path, body, seen)]
    if ignored:
        fs.rm_file(path)
        raise SettingsError(
            f"{fs.unstrip_protocol(path)}: this S3 storage ignores {' and '.join(ignored)}, so that two loads at once "
            'could destroy the ledger. Use a storage that knows conditional writes, or mode="full" on another file '
            "system"
        )


def _is_local(fs: AbstractFileSystem) -> bool:
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def _is_s3(fs: AbstractFileSystem) -> bool:
    return "s3" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol) and hasattr(fs, "call_s3")


def _local(fs: AbstractFileSystem, path: str) -> Path:
    return Path(fs._strip_protocol(path))


def _read_local(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _replace_local(path: Path, body: bytes, seen: Seen, modes: Modes) -> bool:
    make_folders(path.parent, modes)
    with _locked(path, modes):
        if _read_local(path) != seen.body:
            return False
        new = path.with_name(f"{path.name}.new")
        with removed_if_broken(new), open_private(new, modes) as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        durable.move(new, path)
    return True


@contextmanager
def _locked(path: Path, modes: Modes) -> Iterator[None]:
    """Nobody else in here, on this machine or, where the disk's locks reach that far, on another."""
    with open_private(path.with_name(f"{path.name}.lock"), modes) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield  # closing the file gives the lock back, as does the end of the process


def _read_s3(fs: AbstractFileSystem, path: str) -> Seen:
    fs.invalidate_cache(path)
    try:
        # The tag first: if another write comes in between, the tag is too old, and replacing fails as it must.
        tag = fs.info(path, refresh=True)["ETag"]
        return Seen(fs.cat_file(path), tag)
    except FileNotFoundError:
        return Seen(None, None)


def _replace_s3(fs: Any, path: str, body: bytes, seen: Seen) -> bool:
    bucket, key, _ = fs.split_path(path)
    condition = {"IfNoneMatch": "*"} if seen.tag is None else {"IfMatch": seen.tag}
    try:
        fs.call_s3("put_object", Bucket=bucket, Key=key, Body=body, **condition)
    except OSError as error:  # s3fs makes one of every refusal
        answer = getattr(error.__cause__, "response", {}) or {}
        if answer.get("Error", {}).get("Code") in _NOT_MET:
            return False
        raise
    fs.invalidate_cache(path)
    return True
