"""A Python function called in a process of its own. Run as a script: `python -I calling.py FILE FUNCTION`.

Arguments come as JSON on stdin, the result goes as JSON to the file "result.json" of the call's folder; what the
function prints is not part of it.
"""

import importlib.util
import json
import sys


def main() -> None:
    path, name = sys.argv[1:3]
    arguments = json.load(sys.stdin)
    spec = importlib.util.spec_from_file_location("pointsman_tool", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    value = getattr(module, name)(**arguments)
    with open("result.json", "w", encoding="utf-8") as file:
        json.dump(value, file, allow_nan=False)


if __name__ == "__main__":
    main()
