"""A dataset, from addresses to a checked folder that ultralytics can read. Needs no torch and no trainer.

fetch -> (archive) -> layout -> check -> assemble. Everything wrong with the data is found before anybody trains on it,
with counts and the first offending files. Beside it: captured images (captures, fields), versions (version*), and how
detections are compared (matching, ratio).

Nothing is imported here: the agent uses some of the modules, and its image lacks what others need (PyYAML).
"""
