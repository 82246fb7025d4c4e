"""Rows: where they come from, whether they are right, and how they are written. No network to the vendors."""
