"""Notices about loads: when one becomes bad, and when it is well again; once each, not once a run."""
