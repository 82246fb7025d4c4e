"""A load's rows beside those of the ledger, out of core: seen as one view, told apart by digest, dealt into ranges of
keys. Imports `ledger` and below."""
