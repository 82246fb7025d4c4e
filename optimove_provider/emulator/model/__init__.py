"""What the emulator remembers. Imports `replies` and the contract."""
