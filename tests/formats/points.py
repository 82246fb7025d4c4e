"""A world at several points of its history, in one archive: at each point what has changed since the one before."""

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAGING, WORLD = "staging/", "world.json"


@dataclass
class Point:
    """Staging's files by their paths; what else a second world is made of; what was `asked` of the vendor so far."""

    files: dict[str, bytes]
    world: dict[str, Any]
    asked: list[dict[str, Any]]

    @classmethod
    def of(cls, folder, world=None, asked=()):
        """What is there now."""
        paths = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        return cls(files, world or {}, list(asked))

    def lay(self, folder):
        """Put staging's files into a new folder; returns it."""
        for path, body in self.files.items():
            place = Path(folder) / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(body)
        return Path(folder)


def write(path, points):
    """Write {name: Point}, in the order of their history."""
    before = Point({}, {}, [])
    with tarfile.open(path, "x:xz") as archive:
        for number, (name, point) in enumerate(points.items()):
            gone, asked = sorted(before.files.keys() - point.files.keys()), point.asked[len(before.asked) :]
            told = {"name": name, "gone": gone, "asked": asked, "world": point.world}
            _add(archive, f"{number}/{WORLD}", json.dumps(told, indent=1).encode())
            for file, body in point.files.items():
                if before.files.get(file) != body:
                    _add(archive, f"{number}/{STAGING}{file}", body)
            before = point


def _add(archive, name, body):
    """As of no time, so that the same history makes the same archive."""
    info = tarfile.TarInfo(name)
    info.size = len(body)
    archive.addfile(info, io.BytesIO(body))


def read(path):
    """What `write` was given."""
    points, now = {}, Point({}, {}, [])
    with tarfile.open(path) as archive:
        for member in archive:
            _, _, name = member.name.partition("/")
            body = archive.extractfile(member).read()
            if name == WORLD:
                told = json.loads(body)
                kept = {name: body for name, body in now.files.items() if name not in told["gone"]}
                now = points[told["name"]] = Point(kept, told["world"], [*now.asked, *told["asked"]])
            else:
                now.files[name.removeprefix(STAGING)] = body
    return points
