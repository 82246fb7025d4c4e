"""What makes many small loads quick: slices of a few rows, one database engine, no write that waits for a disk."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from optimove_provider.loads.spool import row_files
from tests.support.crash.shared_duck import shared_duck

SLICE = 4
"""Records in a request, in place of 5000."""
MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux has it


@contextmanager
def quick() -> Iterator[Path]:
    """While the block lasts, loads are quick; gives a folder for them."""
    disk = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=disk) as folder, shared_duck(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_files, "ROW_GROUP", SLICE)
        patch.setattr(tempfile, "tempdir", folder)
        yield Path(folder) / "staging"
