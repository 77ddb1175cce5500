"""The replay of a new version: a Job that compares it with the stable one, before it enters the first group."""
