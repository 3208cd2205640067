"""Ends with 0 if the server on this machine answers, else with 1."""

import sys
import urllib.request

try:
    with urllib.request.urlopen(
        f"http://127.0.0.1:{sys.argv[1] if len(sys.argv) > 1 else 8765}/api/health", timeout=4
    ) as answer:
        sys.exit(0 if answer.status == 200 else 1)
except OSError:
    sys.exit(1)
