"""The Imports tab in Airflow's UI."""
