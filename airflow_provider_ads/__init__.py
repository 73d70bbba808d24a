"""AWS Application Discovery Service (ADS) for Apache Airflow."""

__all__ = ["__version__"]

__version__ = "0.2.0"
