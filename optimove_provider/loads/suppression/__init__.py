"""Keys that loads into a target leave out, known by keyed digests only. Imports `ledger` and below."""
