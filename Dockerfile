# Airflow's own image with this provider and the emulator in it, as Airflow's documentation advises. For docker-compose.yaml.
FROM apache/airflow:3.3.2-python3.12

COPY --chown=airflow:0 pyproject.toml README.md /tmp/source/
COPY --chown=airflow:0 optimove_provider /tmp/source/optimove_provider

# Naming Airflow's version keeps pip from changing it. What else the image has stays too, where it is new enough.
RUN pip install --no-cache-dir "apache-airflow==${AIRFLOW_VERSION}" '/tmp/source[emulator]'
