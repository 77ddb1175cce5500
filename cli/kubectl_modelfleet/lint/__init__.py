"""Manifests checked without an API server, by the schemas and rules that the CRDs have."""
