"""The shape of the source tree, and of the error tree."""

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pointsman.experts
import pointsman.router
import pointsman.services
import pointsman.workflows
from pointsman.router.errors import PointsmanError

ROOT = Path(__file__).parent.parent
# What an OpenAI client looks for, letter for letter.
OPENAI_CODES = ("model_not_found", "unsupported_value")
SOURCES = ("router", "workflows", "experts", "services")


def test_the_namespace_has_no_init() -> None:
    """Four source roots share the name `pointsman`; an __init__.py in one would hide the others."""
    for source in SOURCES:
        assert (ROOT / source / "pointsman").is_dir()
        assert not (ROOT / source / "pointsman" / "__init__.py").exists()


def test_importing_the_client_imports_nothing_heavy() -> None:
    code = "import sys, pointsman.client; print(*sorted(m.split('.')[0] for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "langgraph", "redis", "fastapi", "duckdb", "openai"} & set(
        done.stdout.split()
    )


def every_error() -> set[type[PointsmanError]]:
    """All of them, whatever other tests have imported before."""
    for package in (pointsman.router, pointsman.workflows, pointsman.experts, pointsman.services):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found, waiting = set[type[PointsmanError]](), [PointsmanError]
    while waiting:
        error = waiting.pop()
        found.add(error)
        waiting.extend(error.__subclasses__())
    return found


def test_every_error_has_a_code_of_its_own() -> None:
    codes: dict[str, str] = {}
    for error in every_error():
        ours = re.fullmatch(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)*", error.code)
        assert ours or (error.code in OPENAI_CODES), error.code
        assert codes.setdefault(error.code, error.__name__) == error.__name__, error.code
        assert error.fault in ("caller", "plan", "expert", "us")
