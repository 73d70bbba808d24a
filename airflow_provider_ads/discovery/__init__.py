"""AWS Application Discovery Service in plain Python: nothing here imports Airflow or boto3."""

from airflow_provider_ads.moved import add_old_modules

add_old_modules()
