"""What every task shares: sources, staging, deferral, windows. Imports Airflow, `hooks` and below."""
