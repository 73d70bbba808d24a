"""AWS Application Discovery Service in plain Python: nothing here imports Airflow or boto3."""
