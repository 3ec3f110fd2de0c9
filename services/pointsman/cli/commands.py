"""The commands and their options: ask, look, stop, serve."""

import importlib.metadata
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markdown import Markdown
from rich.text import Text

from pointsman.cli import listing
from pointsman.cli.asking import Asker
from pointsman.cli.base import (
    DONE,
    EXIT,
    FAILED,
    REFUSED,
    USAGE,
    Debug,
    Files,
    Home,
    Json,
    Part,
    Prefer,
    Preference,
    Request,
    Rows,
    RunName,
    SaveTo,
    Thread,
    Url,
    Waiting,
    app,
    errors,
)
from pointsman.cli.following import followed, tell, watched
from pointsman.cli.output import (
    complain,
    console,
    document,
    jsonable,
    note,
    unsent_files,
)
from pointsman.cli.runview import plan_tree
from pointsman.cli.saving import save
from pointsman.client import Budget, Client

if TYPE_CHECKING:
    from pointsman.services.settings import Settings


@app.command(
    epilog='Examples: pointsman run "Which product has the worst reviews?" --file reviews.csv | '
    'pointsman run "Summarize these" --file notes/ --json | '
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 130 stopped by Ctrl-C."
)
def run(
    request: Request,
    file: Files = None,
    as_json: Json = False,
    budget_cost: Annotated[
        float | None, typer.Option(min=0, help="Spend at most so many dollars.")
    ] = None,
    deadline: Annotated[
        float | None, typer.Option(min=0.001, help="Give it up after so many seconds.")
    ] = None,
    prefer: Prefer = Preference.balanced,
    save_to: SaveTo = None,
    rows: Rows = 50,
    thread: Thread = None,
    approve: Annotated[
        Waiting, typer.Option(help="Which tasks wait for your yes.")
    ] = Waiting.marked,
    url: Url = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Do what is asked, and show the plan while it is worked on, the answer, and why it came about so."""
    budget = None if budget_cost is None else Budget(cost=round(budget_cost * 1e6))
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        steps = client.running(
            request,
            files=file or [],
            budget=budget,
            deadline=deadline,
            prefer=prefer.value,
            thread=thread,
            approve=approve.value,
        )
        with closing(steps):
            answer = watched(steps, Asker(client, as_json=as_json))
        saved = save(client, answer, save_to) if save_to is not None else []
    hints = [f"add --file {name}" for name in unsent_files(request, file or [])]
    tell(answer, as_json=as_json, rows=rows, saved=saved, hints=hints)
    raise typer.Exit(EXIT.get(answer.status, FAILED))


@app.command(
    epilog='Example: pointsman plan "Count the orders of each month" --file orders.csv --mermaid'
)
def plan(
    request: Request,
    file: Files = None,
    as_json: Json = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="As a Mermaid flowchart.")] = False,
    prefer: Prefer = Preference.balanced,
    thread: Thread = None,
    url: Url = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Show how a request would be done and what that is expected to take, without doing it."""
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        found = client.plan(request, files=file or [], prefer=prefer.value, thread=thread)
        chart = client.mermaid(found.run) if mermaid and found.refusal is None else ""
    hints = [f"add --file {name}" for name in unsent_files(request, file or [])]
    if as_json:
        document({**asdict(found), "hints": hints})
    elif found.refusal is not None:
        console().print(Markdown(found.refusal))
    elif mermaid:
        sys.stdout.write(chart)
    else:
        console().print(plan_tree(found))
    if hints and not as_json:
        note(f"note: the request names files that were not sent along: {', '.join(hints)}")
    raise typer.Exit(DONE if found.refusal is None else REFUSED)


@app.command(epilog="Example: pointsman serve --port 8080 --home ./here")
def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0: any that is free.")] = None,
    home: Home = None,
    redis_url: Annotated[
        str | None, typer.Option(envvar="POINTSMAN_REDIS_URL", help="A Redis of yours to use.")
    ] = None,
    only: Annotated[
        list[Part] | None,
        typer.Option(
            "--role",
            "--only",
            help="Run only this role here; can be repeated. Needs --redis-url.",
        ),
    ] = None,
    health_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            envvar="POINTSMAN_HEALTH_PORT",
            help="Answer /livez, /readyz and /metrics of this process here, too.",
        ),
    ] = None,
    grace: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=3600,
            envvar="POINTSMAN_GRACE",
            help="Seconds that work under way is given at SIGTERM. [default: 10]",
        ),
    ] = None,
    announce: Annotated[
        Path | None, typer.Option(help="A file that gets the address, as JSON, when it is ready.")
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Answer everybody who reaches it, without an API key.")
    ] = False,
    while_stdin: Annotated[bool, typer.Option("--while-stdin", hidden=True)] = False,
    debug: Debug = False,
) -> None:
    """Serve the chat page and the API until Ctrl-C, or until what is under way has ended after SIGTERM."""
    given: dict[str, Any] = {"host": host, "port": port, "home": home, "redis_url": redis_url}
    given |= {"health_port": health_port, "grace": grace}
    given |= {"access": "open"} if open_ else {}
    settings = _settings(given)
    from pointsman.cli.serving import serve
    from pointsman.services.runtime import ROLES, Role

    def ready(address: str | None) -> None:
        note(
            f"Pointsman serves at {address}" if address else "Pointsman is at work, without a page"
        )

    roles: list[Role] = [r for r in ROLES if only is None or Part(r) in only]
    with errors(as_json=False, debug=debug):
        serve(settings, roles, announce=announce, while_stdin=while_stdin, ready=ready)


def _settings(given: dict[str, Any]) -> "Settings":
    """The environment's, under what the command line says. Ends with a line about what is wrong."""
    from pydantic import ValidationError

    from pointsman.services.settings import Settings

    try:
        return Settings(**{k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        first = error.errors()[0]
        complain(f"setting {'.'.join(map(str, first['loc']))}: {first['msg']}")
        raise typer.Exit(USAGE) from error


@app.command(epilog="Example: pointsman capabilities table.filter")
def capabilities(
    name: Annotated[str | None, typer.Argument(help="One of them, to see all about it.")] = None,
    as_json: Json = False,
    url: Url = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """List what can be asked for and who serves it; with a name, its parameters and examples."""
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        found = client.capabilities()
    if name is None:
        if as_json:
            document([asdict(c) for c in found])
        else:
            console().print(listing.capabilities(found))
        return
    one = next((c for c in found if c.name == name), None)
    if one is None:
        near = [c.name for c in found if name.casefold() in c.name.casefold()]
        complain(
            f"there is no capability {name!r}" + (f"; near: {', '.join(near)}" if near else "")
        )
        raise typer.Exit(USAGE)
    if as_json:
        document(one)
    else:
        console().print(listing.capability(one))


@app.command()
def watch(
    run_id: RunName,
    as_json: Json = False,
    rows: Rows = 50,
    url: Url = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Follow a run from its start to its answer. Ctrl-C stops watching, the run goes on."""
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        answer = watched(followed(client, run_id), Asker(client, as_json=as_json))
    tell(answer, as_json=as_json, rows=rows, saved=[], hints=[])
    raise typer.Exit(EXIT.get(answer.status, FAILED))


@app.command()
def runs(
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
    thread: Thread = None,
    as_json: Json = False,
    url: Url = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """List runs, newest first."""
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        found = client.runs(limit=limit, thread=thread)
    if as_json:
        document([asdict(r) for r in found])
    else:
        console().print(listing.runs(found))


@app.command()
def cancel(run_id: RunName, url: Url = None, home: Home = None, debug: Debug = False) -> None:
    """Stop a run."""
    with errors(as_json=False, debug=debug), Client(url, home=home) as client:
        client.cancel(run_id)
    note(f"{run_id} was asked to stop")


@app.command()
def doctor(
    as_json: Json = False,
    trial: Annotated[bool, typer.Option(help="Start a server of its own and ask it.")] = True,
    home: Home = None,
) -> None:
    """Check whether all that is needed is here, and say what to do where it is not."""
    settings = _settings({"home": home})
    from pointsman.cli.doctor import examine

    out = console()
    checks = []
    for check in examine(settings, trial=trial):
        checks.append(check)
        if not as_json:
            out.print(listing.check(check), soft_wrap=True)
    fine = all(c.ok for c in checks)
    if as_json:
        document({"ok": fine, "checks": [jsonable(c) for c in checks]})
    raise typer.Exit(DONE if fine else FAILED)


@app.command()
def version() -> None:
    """Print the version."""
    console().print(Text(importlib.metadata.version("pointsman")))
