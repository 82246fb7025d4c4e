"""What the tests of deaths share: they are many small loads, of which each step is one."""

import tempfile
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux has it


@pytest.fixture(scope="module")
def quick_disk():
    """A folder of which no write waits for a disk: no test here is about a loss of power."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def folder(quick_disk):
    """A new folder there, which goes after the test."""
    with tempfile.TemporaryDirectory(dir=quick_disk) as folder:
        yield Path(folder)
