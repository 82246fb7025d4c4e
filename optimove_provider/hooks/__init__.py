"""Connections of Airflow turned into clients, file systems and cursors. Constructors do no I/O."""
