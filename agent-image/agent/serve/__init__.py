"""Frames through a model: sources, inference, health and the HTTP server. Needs the inference libraries."""
