"""`python -m modelfleet`."""

from modelfleet.main import main

main()
