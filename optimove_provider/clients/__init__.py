"""Who talks to the vendors: settings, drivers, transport and two typed facades. No Airflow."""
