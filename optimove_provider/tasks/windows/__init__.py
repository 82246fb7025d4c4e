"""The window of a run: which points of the schedule it stands between, and which had no run. Imports Airflow."""
