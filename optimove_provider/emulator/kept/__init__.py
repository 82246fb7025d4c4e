"""What an emulator holds, in a file, so that the next one goes on with it."""
