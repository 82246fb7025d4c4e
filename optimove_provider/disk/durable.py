"""Files that stay as they are: what a loss of power takes away must not be what others rely on."""

import os
from pathlib import Path


def move(new: Path, path: Path) -> None:
    """Give a file, which is synced, the name of another one. The name, too, survives a loss of power."""
    new.replace(path)
    sync_names(path.parent)


def sync_names(folder: Path) -> None:
    """Whatever has a name in a folder has it from now on."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
