"""`python -m optimove_provider`: checks CSV files, guesses their datatypes, prints their headers."""

import sys

from optimove_provider.cli import main

if __name__ == "__main__":
    sys.exit(main())
