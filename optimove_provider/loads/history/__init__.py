"""What became of loads and of their rows, read back from staging: nothing here writes."""
