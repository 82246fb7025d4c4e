"""What `make demo` and `make up` run: real customers, both stores emulated, real Airflow."""
