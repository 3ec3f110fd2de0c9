"""Every description: operations, how many can be called, seconds and memory, each in a fresh process."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.tools import descriptions

IMPORT = """
import json, resource, sys, time
began = time.perf_counter()
from pointsman.experts.tools.openapi.adding import preview
from pointsman.experts.tools.openapi.registered import ApiIn
loaded = time.perf_counter()
found = preview(ApiIn(openapi="a.json", name="api", url="https://api.example.com"), open(sys.argv[1], "rb").read())
print(json.dumps({
    "operations": len(found.offered) + sum(s.key.split(" ")[0].isupper() for s in found.skipped),
    "callable": len(found.offered),
    "listed": len(found.skipped),
    "seconds": time.perf_counter() - loaded,
    "with_start": time.perf_counter() - began,
    "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


def run(data: Path) -> dict[str, object]:
    """Seconds are from the file's bytes to checked capabilities; megabytes are the peak of the whole process."""
    print(f"{'description':44} {'ops':>5} {'callable':>8} {'listed':>6} {'seconds':>8} {'MB':>6}")
    found: dict[str, object] = {}
    for name, content in descriptions(data):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            file.write(content)
            file.flush()
            done = subprocess.run(
                [sys.executable, "-c", IMPORT, file.name],
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            found[name] = {"error": done.stderr.strip().splitlines()[-1]}
            print(f"{name:44} {done.stderr.strip().splitlines()[-1]}")
            continue
        one = json.loads(done.stdout)
        found[name] = one
        print(
            f"{name[:44]:44} {one['operations']:5} {one['callable']:8} {one['listed']:6} "
            f"{one['seconds']:8.2f} {one['megabytes']:6.0f}"
        )
    return found
