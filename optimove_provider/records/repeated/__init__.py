"""Which of many texts are the same: exactly, in memory that does not grow with them."""
