"""Small pieces over Arrow arrays. Imports nothing of ours."""
