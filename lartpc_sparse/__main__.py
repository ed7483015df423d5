"""`python -m lartpc_sparse`, the same as `python -m lartpc_sparse.run`."""

import sys

from lartpc_sparse.run import main

if __name__ == "__main__":
    sys.exit(main())
