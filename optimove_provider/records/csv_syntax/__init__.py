"""RFC 4180: an exact record reader and a fast tokenizer. Imports `findings` and `rows`."""
