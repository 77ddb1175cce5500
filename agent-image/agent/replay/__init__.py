"""`agent replay`: two versions over the same captured frames, before the newer one runs on any node."""
