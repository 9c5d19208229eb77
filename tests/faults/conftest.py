"""The district lies beside the tests, and is also the worker's script."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
