"""Small files that are replaced whole, and stay so: what a loss of power takes away must not be what others rely on."""

import os
from pathlib import Path


def move(new: Path, path: Path) -> None:
    """Give a file, which is synced, the name of another one. The name, too, survives a loss of power."""
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
