"""Counts in sentences: 1 row, 2357 rows."""


def how_many(n: int, one: str, many: str = "") -> str:
    """`n` with the word that fits it; `many` is `one` with an s unless it is given."""
    return f"{n} {one if n == 1 else many or f'{one}s'}"
