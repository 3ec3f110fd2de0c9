"""Commands for what waits for people, and for what went wrong: approvals, approve, effects, rerun, dead."""

import json
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from pointsman.cli import listing
from pointsman.cli.asking import Asker, card, json_or_text, person
from pointsman.cli.base import (
    DONE,
    EXIT,
    FAILED,
    USAGE,
    Debug,
    Home,
    Json,
    Rows,
    RunName,
    SaveTo,
    Url,
    app,
    errors,
)
from pointsman.cli.following import owned, tell, watched
from pointsman.cli.output import complain, console, document, note
from pointsman.cli.saving import save
from pointsman.client import Answer, Approval, Client, DeadLetter
from pointsman.client.decisions import Decision

ApprovalName = Annotated[
    str | None, typer.Argument(metavar="[APPROVAL]", help="Which one; not needed if one waits.")
]


@app.command()
def approvals(
    run_id: RunName, as_json: Json = False, url: Url = None, home: Home = None, debug: Debug = False
) -> None:
    """Show what a run asks of people, with its exact arguments, and what was decided."""
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        found = client.approvals(run_id)
    if as_json:
        document([asdict(a) for a in found])
        return
    out = console()
    for approval in found:
        if approval.pending:
            out.print(card(approval), soft_wrap=True)
            out.print()
    decided = [a for a in found if not a.pending]
    if decided:
        out.print(listing.decisions(decided))
    elif not found:
        note(f"{run_id} asked nothing of anybody")


@app.command(
    epilog="Examples: pointsman approve run_1a2b | pointsman approve run_1a2b apr_3c4d --no | "
    'pointsman approve run_1a2b --edit \'{"to": "ada@example.org"}\' --yes'
)
def approve(
    run_id: RunName,
    approval: ApprovalName = None,
    yes: Annotated[
        bool | None,
        typer.Option("--yes/--no", help="It may be called with these arguments, or not."),
    ] = None,
    done: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE", help="An unknown effect has happened; its result, JSON or text."
        ),
    ] = None,
    edit: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Arguments to change, as a JSON object; then decide."),
    ] = None,
    remark: Annotated[str, typer.Option("--note", help="A word to go with it.")] = "",
    as_json: Json = False,
    url: Url = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Decide on what a run asks. Shows the exact arguments and asks, unless an option says it."""
    if yes is not None and done is not None:
        raise typer.BadParameter("--done and --yes or --no exclude each other")
    verdict = Verdict(_decision(yes, done), done, _object(edit), remark)
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        asker = Asker(client, as_json=as_json)
        open_end = asker.interactive and verdict.decision is None
        for one in _waiting(client, run_id, approval, several=open_end):
            told = _edited(client, one, verdict)
            if open_end:
                _asked(client, asker, told)
                continue
            if not as_json:
                console(error=True).print(card(told), soft_wrap=True)
            _told(_said(client, told, verdict), as_json=as_json)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the options say. done: the result of an effect that has happened. change: arguments to change."""

    decision: Decision | None
    done: str | None
    change: dict[str, Any] | None
    remark: str


def _said(client: Client, approval: Approval, verdict: Verdict) -> Approval:
    """Takes the decision; an edit alone leaves the new request open. Ends with a line when there is neither."""
    if verdict.decision is not None:
        value = json_or_text(verdict.done) if verdict.done is not None else None
        return client.decide(
            approval, verdict.decision, by=person(), note=verdict.remark, value=value
        )
    if verdict.change is None:
        complain("say --yes, --no, --done VALUE or --edit JSON; there is no terminal to ask on")
        raise typer.Exit(USAGE)
    return approval


def _object(text: str | None) -> dict[str, Any] | None:
    """Raises BadParameter when it is no JSON object."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"--edit is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise typer.BadParameter("--edit takes a JSON object of arguments")
    return value


def _waiting(client: Client, run: str, id: str | None, *, several: bool) -> list[Approval]:
    """What is to be decided. Ends with a line when there is nothing, or it is not clear what."""
    found = [a for a in client.approvals(run) if id is None or a.id == id]
    pending = [a for a in found if a.pending]
    if len(pending) == 1 or (pending and several):
        return pending
    if pending:
        complain(f"say which one: {', '.join(a.id for a in pending)}")
        raise typer.Exit(USAGE)
    if id is not None and found:
        complain(f"{id} waits no more: {found[0].decision or 'its run was stopped'}")
    elif id is not None:
        complain(f"run {run!r} has no approval {id!r}; list those that are pending")
        raise typer.Exit(USAGE)
    else:
        complain(f"nothing in run {run!r} waits for a decision")
    raise typer.Exit(FAILED)


def _edited(client: Client, approval: Approval, verdict: Verdict) -> Approval:
    if verdict.change is None:
        return approval
    whole = {**approval.arguments, **verdict.change}
    return client.edit(approval, whole, by=person(), note=verdict.remark)


def _decision(yes: bool | None, done: str | None) -> Decision | None:
    if done is not None:
        return "done"
    return None if yes is None else "approved" if yes else "denied"


def _asked(client: Client, asker: Asker, approval: Approval) -> None:
    """Asks until it is decided or put off; an edit is a request of its own, which is asked about next."""
    if not asker.ask(approval):
        return
    for again in client.approvals(approval.run):
        if again.pending and again.edits == approval.id:
            _asked(client, asker, again)


def _told(approval: Approval, *, as_json: bool) -> None:
    if as_json:
        document(asdict(approval))
    elif approval.pending:
        note(f"{approval.id} has the new arguments and waits for a decision")
    else:
        note(f"{approval.id}: {approval.decision}")


@app.command()
def effects(
    run_id: RunName, as_json: Json = False, url: Url = None, home: Home = None, debug: Debug = False
) -> None:
    """List what a run did outside, and what of it nobody knows the outcome of."""
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        found = client.effects(run_id)
    if as_json:
        document([asdict(e) for e in found])
    elif found:
        console().print(listing.effects(found))
    else:
        note(f"{run_id} began no effect of class keyed or once")


@app.command(epilog="Example: pointsman rerun run_1a2b --from draw")
def rerun(
    run_id: RunName,
    from_task: Annotated[
        str | None, typer.Option("--from", metavar="TASK", help="The task to begin with.")
    ] = None,
    as_json: Json = False,
    save_to: SaveTo = None,
    rows: Rows = 50,
    url: Url = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Run the plan of a run once more: from a task on, else from what failed; the rest is taken over."""
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        answer = _again(client, run_id, from_task, as_json=as_json)
        saved = save(client, answer, save_to) if save_to is not None else []
    tell(answer, as_json=as_json, rows=rows, saved=saved, hints=[])
    raise typer.Exit(EXIT.get(answer.status, FAILED))


def _again(client: Client, run: str, task: str | None, *, as_json: bool) -> Answer:
    made = client.rerun(run, from_task=task)
    note(f"{run} goes on as {made.id}")
    with closing(owned(client, made)) as steps:
        return watched(steps, Asker(client, as_json=as_json))


@app.command(
    epilog="Examples: pointsman dead | pointsman dead run_1a2b draw --replay | "
    "pointsman dead run_1a2b draw --forget"
)
def dead(
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Those of one run.")] = None,
    task: Annotated[str | None, typer.Argument(metavar="[TASK]", help="One of them.")] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Run it again, and forget it when that goes well.")
    ] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Drop it from the list.")] = False,
    as_json: Json = False,
    rows: Rows = 50,
    url: Url = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """List tasks that no expert could do; look at one, run it again, or forget it."""
    if (replay or forget) and task is None:
        raise typer.BadParameter("--replay and --forget need RUN and TASK")
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        found = [
            x for x in client.dead_letters() if run_id in (None, x.run) and task in (None, x.task)
        ]
        if task is not None and not found:
            complain(f"there is no dead letter of task {task!r} of run {run_id!r}")
            raise typer.Exit(USAGE)
        if replay:
            answer = _again(client, found[0].run, found[0].task, as_json=as_json)
            if answer.ok:
                client.forget(found[0])
            tell(answer, as_json=as_json, rows=rows, saved=[], hints=[])
            raise typer.Exit(EXIT.get(answer.status, FAILED))
        if forget:
            client.forget(found[0])
            note(f"forgotten: {found[0].run} {found[0].task}")
            raise typer.Exit(DONE)
    _letters(found, whole=task is not None, as_json=as_json)


def _letters(found: list[DeadLetter], *, whole: bool, as_json: bool) -> None:
    if as_json:
        document([asdict(x) for x in found])
    elif not found:
        note("no task was given up")
    elif whole:
        console().print(listing.dead_letter(found[0]), soft_wrap=True)
    else:
        console().print(listing.dead_letters(found))
