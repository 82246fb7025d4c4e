"""What a task tells Airflow of its load: XCom, asset events, lineage, metrics. It never makes a load fail."""
