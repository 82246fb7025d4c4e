"""The words that say how a load is meant. They are checked when a DAG is parsed, so nothing heavy is imported here."""

from optimove_provider.contract.wire.errors import SettingsError

MODES = ("full", "changed")
SOURCES = ("snapshot", "delta")
ON_REMOVED = ("report", "expire")


def check_modes(mode: str, source_is: str, on_removed: str) -> None:
    """Raise SettingsError for a word that is unknown, or that contradicts another."""
    for name, value, known in (
        ("mode", mode, MODES),
        ("source_is", source_is, SOURCES),
        ("on_removed", on_removed, ON_REMOVED),
    ):
        if value not in known:
            raise SettingsError(f"{name}={value!r} is none of {', '.join(map(repr, known))}: choose one")
    if on_removed == "expire" and source_is == "delta":
        raise SettingsError("a delta does not say what is gone: on_removed='expire' needs source_is='snapshot'")


def check_deletes(deleted_column: object, source_is: str, primary_key: str) -> None:
    """Raise SettingsError for a column of deletions that can be none."""
    if deleted_column is None:
        return
    if not isinstance(deleted_column, str) or not deleted_column or deleted_column == primary_key:
        raise SettingsError(
            f"deleted_column={deleted_column!r}: expected the name of a column other than the primary key, or None"
        )
    if source_is != "delta":
        raise SettingsError(
            f"deleted_column={deleted_column!r} needs source_is='delta': a snapshot has no rows of what is gone, and "
            "on_removed='expire' makes expire what it lacks"
        )


def check_limit(limit: object, on_removed: str) -> None:
    """Raise SettingsError for a limited load that would make records expire; a template may be anything."""
    if limit is not None and on_removed == "expire":
        raise SettingsError(
            'limit= and on_removed="expire" contradict each other: the keys beyond the limit would be taken for '
            'removed. Leave on_removed at "report" while the load is limited'
        )


def default_source(mode: str) -> str:
    """What the rows are taken for where it is not said: with "full" some keys may be missing."""
    return "delta" if mode == "full" else "snapshot"
