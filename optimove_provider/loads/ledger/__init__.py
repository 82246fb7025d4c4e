"""What a target has accepted: optimistic commits over immutable files, one manifest. Imports `spool` and `state`."""
