"""What crosses the wire, and what an answer means. Imports nothing of ours."""
