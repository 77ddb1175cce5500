"""One file a command, or a few that are alike. Each reads the cluster, asks pure code, and prints or writes."""
