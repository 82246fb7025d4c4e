"""One load, from rows to a report. No Airflow: clients, file systems and streams are handed in."""
