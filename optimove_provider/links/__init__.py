"""Buttons on a task's page in Airflow, and the addresses they lead to. No I/O here."""
