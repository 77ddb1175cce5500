"""Makes `shapes` and `documents` importable, here and in the trainer image, which runs these tests from elsewhere."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
