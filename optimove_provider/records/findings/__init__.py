"""What was found in a file, and the forms in which it is reported. Imports the contract only."""
