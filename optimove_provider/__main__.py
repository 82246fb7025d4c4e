"""`python -m optimove_provider`: checks CSV files, and sends rejected rows again."""

import sys

from optimove_provider.cli import main

if __name__ == "__main__":
    sys.exit(main())
