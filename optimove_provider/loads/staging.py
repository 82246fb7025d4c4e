"""Where loads keep small JSON files between runs: the only state there is."""

import json
from dataclasses import dataclass
from typing import Any

from fsspec import AbstractFileSystem

from optimove_provider.contract.wire import json_body


@dataclass(frozen=True, slots=True)
class Staging:
    """A folder on any fsspec file system. Paths are relative to it."""

    fs: AbstractFileSystem
    root: str

    def url(self, path: str) -> str:
        """The path as people and other tools can open it."""
        return str(self.fs.unstrip_protocol(self._at(path)))

    def read(self, path: str) -> dict[str, Any] | None:
        """The file's content, or None where there is no file."""
        try:
            # A file that another process is just creating is still empty.
            return dict(json.loads(self.fs.cat_file(self._at(path)) or b"{}"))
        except FileNotFoundError:
            return None

    def write(self, path: str, content: dict[str, Any]) -> str:
        """Write the whole file or nothing of it; returns its URL."""
        body, place = json_body(content), self._at(path)
        self._make_folder(path)
        if "file" in self.fs.protocol:
            self.fs.pipe_file(f"{place}.new", body)
            self.fs.mv(f"{place}.new", place)
        else:  # an object store shows an object whole
            self.fs.pipe_file(place, body)
        return self.url(path)

    def create(self, path: str, content: dict[str, Any]) -> None:
        """Write a file that must not be there yet. Raises FileExistsError: of two callers at once, one wins."""
        self._make_folder(path)
        body = json_body(content)
        # Not pipe_file(mode="create"): on a local disk that looks first and writes then.
        with self.fs.open(self._at(path), "xb") as file:
            file.write(body)

    def remove(self, path: str) -> None:
        """Remove a file."""
        self.fs.rm_file(self._at(path))

    def _at(self, path: str) -> str:
        return f"{self.root.rstrip('/')}/{path}"

    def _make_folder(self, path: str) -> None:
        self.fs.makedirs(self._at(path).rpartition("/")[0], exist_ok=True)
