"""One key that is to be forgotten: where it is meant, in JSON, in rows of files and in sentences."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optimove_provider.contract.cells.datatypes import is_key_column

PUT = "(forgotten)"
"""What stands where the key stood in a text."""
_SURE = 6
"""A number of fewer digits without quotes is more likely a count than the key."""
GONE = object()
"""What stood there is to go."""


@dataclass(frozen=True)
class ForgottenKey:
    """The key by its text: of the number 42 and the text "42" the same."""

    text: str

    @cached_property
    def stored(self) -> list[str]:
        """The key as ledgers and frozen rows have it, JSON text: a text, and a number if it looks like one."""
        texts = [json.dumps(self.text, ensure_ascii=False)]
        return [*texts, self.text] if re.fullmatch(r"-?(0|[1-9]\d*)", self.text, re.ASCII) else texts

    def is_meant_by(self, value: Any) -> bool:
        """Whether a value of a key's field is the key, also if it is JSON text."""
        if isinstance(value, bool) or not isinstance(value, str | int):
            return False
        return str(value) == self.text or value in self.stored

    def has_row(self, record: Any, primary_key: str) -> bool:
        """Whether a row is the key's; of a row whose key's field nobody knows, whether any of its fields is the key."""
        if not isinstance(record, dict):
            return isinstance(record, str) and bool(self._in_text.search(record))
        named = [name for name in record if name == primary_key or (not primary_key and is_key_column(name))]
        return any(self.is_meant_by(record[name]) for name in named or record)

    def without(self, found: Any) -> Any:
        """JSON without the key: samples and examples of it go; in sentences it is replaced, also where they name a
        member, as reasons do. GONE if all of it is about the key."""
        if isinstance(found, dict):
            if self.is_meant_by(found.get("key")):
                return GONE
            cleaned = {self._named(name): self.without(one) for name, one in found.items()}
            return {name: one for name, one in cleaned.items() if one is not GONE}
        if isinstance(found, list):
            cleaned_list = [self.without(one) for one in found]
            return [one for one in cleaned_list if one is not GONE]
        if isinstance(found, str):
            return GONE if found in self.stored[:1] else self.in_words(found)
        return found

    def _named(self, name: str) -> str:
        """The name of a member: that of a field or column stays what it is, whatever the key is called."""
        return name if name.isidentifier() else self.in_words(name)

    def in_words(self, text: str) -> str:
        """A sentence or a value without the key."""
        return PUT if text == self.text else self._in_text.sub(PUT, text)

    @cached_property
    def _in_text(self) -> "re.Pattern[str]":
        """In quotes of any kind, or after the word; elsewhere only what is surely no count."""
        forms = sorted({self.text, *(self.stored[0][1:-1], repr(self.text)[1:-1])}, key=len, reverse=True)
        key = "|".join(map(re.escape, forms))
        quoted = rf"(?<=['\"])(?:{key})(?=['\"])|(?<=\bkey )(?:{key})(?!\w)"
        is_sure = len(self.text) >= _SURE or not self.text.isdecimal()
        return re.compile(rf"{quoted}|(?<![\w-])(?:{key})(?![\w-])" if is_sure else quoted)
