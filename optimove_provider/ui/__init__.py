"""The Sync history within Airflow's UI: what became of every load and row. Nobody imports it but Airflow."""
