"""Conversion of inventories into importable files, in plain Python: nothing here imports Airflow or boto3."""
