"""The distribution's name as a module: Airflow looks for it when its example DAGs are on. See `optimove_provider`."""
