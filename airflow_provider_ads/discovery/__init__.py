"""AWS Application Discovery Service itself, in plain Python: no Airflow, no boto3."""
