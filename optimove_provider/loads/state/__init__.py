"""What survives a crash: files in staging, compare-and-swap, the write-ahead log of a load. Imports `contract` only."""
