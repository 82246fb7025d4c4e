"""What the two vendors say, as values and generators. Standard library only, no I/O of any kind."""
