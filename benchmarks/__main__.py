"""python -m benchmarks NAME [--data DIR] [--json]: measures, side by side with what one would use otherwise."""

import importlib
import json
import pkgutil
import sys

import benchmarks


def names() -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name[0] != "_")


def main() -> int:
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        for name in names():
            about = (importlib.import_module(f"benchmarks.{name}").__doc__ or "").strip()
            print(f"  {name:20} {about.splitlines()[0] if about else ''}")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in names():
        print(f"there is no benchmark {name!r}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    found = importlib.import_module(f"benchmarks.{name}").main([a for a in rest if a != "--json"])
    if "--json" in rest:
        print(json.dumps({"benchmark": name, **found}, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
