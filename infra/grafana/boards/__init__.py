"""The Grafana dashboards as code: `python -m boards DIRECTORY` writes each as JSON. Imports nothing of Apollo's."""
