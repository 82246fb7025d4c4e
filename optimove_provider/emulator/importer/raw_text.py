"""The cells of a CSV file, and what its raw text has to say where readers differ. No I/O but reading the text."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import chain
from typing import TextIO

from optimove_provider.emulator.model.switches import Switches


class RawLines:
    """The records of a file as lists of cells. Raises csv.Error, and UnicodeDecodeError of the text."""

    def __init__(self, text: TextIO, key: str, switches: Switches) -> None:
        self._switches, self._raw = switches, ""
        first = text.readline()
        if first.startswith("\ufeff") and switches.byte_order_mark == "skip":
            first = first[1:]
        self._delimiter = _delimiter(key, first, switches)
        lines = self._remembered(chain([first] if first else [], text))
        self._reader = csv.reader(lines, delimiter=self._delimiter, skipinitialspace=True, strict=True)

    @property
    def line_number(self) -> int:
        """The line that was read last, counted from 1."""
        return self._reader.line_num

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        cells = next(self._reader)
        raw, self._raw = self._raw, ""
        is_kept = f"{self._delimiter} " in raw and self._keeps_spaces(cells, raw)
        # Documented: a quote is doubled, and its cell in quotes. The csv module takes others as they are.
        if '"' in raw and not _pattern(self._delimiter, is_kept).fullmatch(raw):
            raise csv.Error("a quote in a cell that is not quoted")
        return self._with_spaces(raw) if is_kept else cells

    def _remembered(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            self._raw += line
            yield line

    def _keeps_spaces(self, cells: list[str], raw: str) -> bool:
        return self._with_spaces(raw) != cells and self._switches.leading_spaces == "keep"

    def _with_spaces(self, raw: str) -> list[str]:
        return next(csv.reader(io.StringIO(raw, newline=""), delimiter=self._delimiter), [])


def _delimiter(key: str, header: str, switches: Switches) -> str:
    is_named, has_tabs = key.lower().endswith(".tsv"), "\t" in header
    if not is_named and not has_tabs:
        return ","
    tells = {"by_name": is_named, "content": has_tabs, "never": False}
    return "\t" if tells[switches.tabs] else ","


def _pattern(delimiter: str, spaces_are_text: bool) -> re.Pattern[str]:
    """A record all of whose quotes are as documented."""
    cell = f'{"" if spaces_are_text else " *"}"(?:[^"]|"")*+"|[^"{delimiter}]*+'
    return re.compile(f"(?:{cell})(?:{delimiter}(?:{cell}))*[\r\n]*")
