"""`python -m refund_adapters.demo` is `refunds demo`."""

import sys

from refund_adapters.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["demo"]
    main()
