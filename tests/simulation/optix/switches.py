"""How Opti-X may behave where nothing is documented: settings of the emulator on which no promise depends."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any

from optimove_provider.emulator.model.switches import Switches

SETTINGS: Mapping[str, tuple[Any, ...]] = {
    "success_status": (201, 202, 204),
    "success_body": ("empty", "success"),
    "error_envelope": ("detail", "x", "text", "empty"),
    "key_identity": ("text",),
    "duplicate_keys": ("refuse_in_request", "refuse_in_batch"),
    "completed_batch": ("refuse",),
    "open_batch_seconds": (1200.0,),
    "visible_after_seconds": (2.0,),
    "absent_key": ("ignore",),
    "zero_ttl": ("expire",),
    "ttl_starts": ("completion",),
    "requests_per_10s": (5,),
    "max_body_bytes": (250,),
    "bad_record": ("record",),
    "retry_after": (False,),
}
NOT_TRIED: Mapping[str, str] = {
    "create_status": "connections are created before a world begins",
    "created_uuid": "connections are created before a world begins",
    "schema_status": "rows have fields of one type",
    "unknown_uuid_status": "the connection is there",
    "wrong_brand_status": "the keys are right; a request that is forbidden is a fault",
    "null_values": "no value is null",
    "nested_values": "no value is nested",
    "old_rows_stay": "a batch that nobody completes would hide its rows for ever: docs/unknowns.md",
    "update_limit": "updates have fewer items",
    "max_ttl_seconds": "the longest time to live is that of an expiry",
    "rate_limit_status": "503 is a fault",
    "too_large_status": "400 cannot be told from a bad row",
    "poison": "drawn with the source",
    "poison_named": "drawn with the source",
}
"""Switches of Opti-X that keep their guess, and why."""


def drawn(random: Random, plain: Switches) -> Switches:
    """The switches with none, one or two of the settings."""
    names = random.sample(sorted(SETTINGS), random.choice((0, 1, 2)))
    return replace(plain, **{name: random.choice(SETTINGS[name]) for name in names})


def set_in(switches: Switches) -> Iterator[tuple[str, Any]]:
    """Names and values of the settings that differ from the guess, for what a world has met."""
    for name in SETTINGS:
        if (found := getattr(switches, name)) != getattr(Switches(), name):
            yield name, found


def wanted() -> list[str]:
    """All of those, as they are counted."""
    return [f"switch: {name} {value}" for name, values in SETTINGS.items() for value in values]
