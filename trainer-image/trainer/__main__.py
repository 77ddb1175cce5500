"""`python -m trainer`: the only command of the image."""

import sys

from trainer.main import main

sys.exit(main())
