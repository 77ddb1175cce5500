"""Pictures of the dashboards: their committed JSON, Grafana's own components, and a real Prometheus with a day of data.

A check for people who change dashboards, not a part of the tests: it takes 470 MB of npm packages and Chromium.
"""
