"""The demo on a cluster that is there: somebody else's, of which it takes little and gives all back."""
