"""Exit code 0 when /readyz of this container says ok, else 1 with what it said. For HEALTHCHECK and compose."""

import os
import sys
import urllib.error
import urllib.request


def main() -> int:
    address = f"http://127.0.0.1:{os.environ.get('POINTSMAN_HEALTH_PORT', '8322')}/readyz"
    try:
        with urllib.request.urlopen(address, timeout=4) as reply:
            reply.read()
    except urllib.error.HTTPError as error:
        sys.stderr.write(error.read().decode("utf-8", "replace"))
        return 1
    except OSError as error:
        sys.stderr.write(f"{address}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
