"""RFC 4180: an exact record reader, a fast tokenizer, and the scan over both. Imports `arrow` and `findings`."""
