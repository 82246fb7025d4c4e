"""What was found in a file, and how it is told. Imports the contract only."""
