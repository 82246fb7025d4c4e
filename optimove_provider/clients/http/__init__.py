"""How requests go out: over HTTP, with deadlines, retries and waits, blocking or from an event loop."""
