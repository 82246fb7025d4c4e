"""What becomes of a row of a source, in the words of every account."""

OUTCOMES = ("accepted", "rejected", "unchanged", "stale", "deleted", "suppressed", "unsent")
"""Each row is one of these: their counts add up to the rows of the source."""
SELDOM = ("deleted", "suppressed")
"""Few loads have any of these: a table of loads without any has no column for them."""
