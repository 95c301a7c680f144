"""Commands on studies, one a file; nothing imports one."""

import signal
import sys

if sys.argv[:1] == ["-m"]:  # one of them starts, and nothing has begun yet: no traceback of imports
    signal.signal(signal.SIGINT, signal.SIG_DFL)
