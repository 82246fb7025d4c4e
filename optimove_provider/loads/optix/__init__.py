"""A load into Opti-X: one batch, completed once, last. Imports everything below, never `dcp`."""
