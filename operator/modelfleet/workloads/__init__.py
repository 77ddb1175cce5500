"""The one reader and writer of what the operator makes: pods, Jobs, pod templates, owner references."""
