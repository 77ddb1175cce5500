"""The files of versions on the node: fetched, verified, evicted. Needs no inference library."""
