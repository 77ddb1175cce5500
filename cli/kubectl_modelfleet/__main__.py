"""`python -m kubectl_modelfleet`."""

from kubectl_modelfleet.main import main

main()
