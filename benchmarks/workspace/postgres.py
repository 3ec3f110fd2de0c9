"""A Postgres of our own for the peers: made in a folder, on a unix socket, gone afterwards."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PLACES = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt/postgresql")
ROLE = "postgres"
"""The system's user that runs the server when we are root, which Postgres refuses to be."""


def find_programs() -> Path | None:
    """The folder with initdb and pg_ctl: on the PATH, or the newest where Debian keeps them."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    found = [p for place in PLACES for p in Path(place).glob("**/bin/initdb")]
    return (
        max(found, key=lambda p: [int(n) for n in p.parts if n.isdigit()]).parent if found else None
    )


@contextmanager
def postgres(programs: Path) -> Iterator[str]:
    """The URL of a fresh server with its default, durable settings. Raises CalledProcessError."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    user = ROLE if os.getuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    cluster = str(folder / "cluster")

    def call(program: str, *arguments: str) -> None:
        subprocess.run(
            [str(programs / program), "-D", cluster, *arguments],
            check=True,
            user=user,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    try:
        call("initdb", "-U", "bench", "-A", "trust", "--no-sync")
        options = f"-k {folder} -c listen_addresses="
        call("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        yield f"postgresql://bench@/postgres?host={folder}"
    finally:
        with suppress(subprocess.CalledProcessError):
            call("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def relaxed(url: str) -> str:
    """The same server with `synchronous_commit` off: as durable as `everysec`."""
    joiner = "&" if "?" in url else "?"
    return f"{url}{joiner}options=-c%20synchronous_commit%3Doff"
