"""Every flow file in flows/ is an Airflow DAG. To add one, add a file; this one stays as it is."""

from pathlib import Path

from huanshu.airflow import build_dags

globals().update(build_dags(Path(__file__).parents[1]))
