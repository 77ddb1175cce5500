"""Capture: frames worth labelling are kept on the node, and sent to a store by a process of its own. `docs/capture.md`.

Decisions are pure (`policy`, `sampling`, `shares`); `recorder` runs them beside the inference loop and never makes it
wait; `spool` is the folder in which captures wait, a contract with any other application; `upload` empties it.
"""
