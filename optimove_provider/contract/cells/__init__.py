"""What a cell of a DCP CSV file may hold, and who says so. Imports `wire`."""
