"""Takes a guard out of the scripts, to see that its absence is found."""

import hashlib
import re
from dataclasses import dataclass

from pointsman.router.workspace import Workspace

ALL = "*"


@dataclass(frozen=True, slots=True)
class Guard:
    """text: what is taken out of a script, or of ALL of them, a regular expression; instead: what comes there."""

    script: str
    text: str
    instead: str = ""


def line(script: str, text: str) -> Guard:
    return Guard(script, rf"^ *{re.escape(text)}\n")


def part(script: str, text: str, instead: str = "") -> Guard:
    return Guard(script, re.escape(text), instead.replace("\\", r"\\"))


FENCE = "commit: the fence of the attempt"
GUARDS: dict[str, Guard] = {
    FENCE: Guard("commit", r"^no = not_attempt\(task, ARGV\[2\], 'running'\)\nif no then .*\n"),
    "perform: the queued attempt": Guard(
        "perform", r"^no = not_attempt\(ARGV\[1\], ARGV\[2\], 'queued'\)\nif no then .*\n"
    ),
    "all: a repeated commit has the same value": Guard(
        ALL, r"\n *and redis\.call\('HGET', SLOTS, task\) == value"
    ),
    "all: what was set aside is released by a commit": line(ALL, "release(task)"),
    "all: what was spent is counted": line(ALL, "spend(ARGV[6], ARGV[7])"),
    "all: the fence of the owner": line(ALL, "if found[2] ~= epoch then return { 'stale' } end"),
    "all: nothing after a stop": line(ALL, "if found[2] then return { 'cancelled' } end"),
    "all: nothing after the end": line(ALL, "if OVER[status] then return { 'over', status } end"),
    "all: nobody but the waiting becomes ready": Guard(
        ALL, r"\n *and redis\.call\('HGET', STATUS, other\) == 'waiting'"
    ),
    "all: the focus is bounded": line(
        ALL, "redis.call('ZREMRANGEBYRANK', FOCUS, 0, -(tonumber(limit) + 1))"
    ),
    "own: not while another's lease stands": part(
        "own", "owner ~= '' and owner ~= ARGV[1] and tonumber(lease) > tonumber(ARGV[3])", "false"
    ),
    "own: another epoch": part("own", "tonumber(epoch) + 1", "tonumber(epoch)"),
    "keep: the epoch": line("own", "if epoch ~= ARGV[2] then return { 'stale' } end"),
    "park: all has been seen": line(
        "park",
        "if newest[1] and newest[1][1] ~= ARGV[2] then return { 'refused', 'the bus has grown' } end",
    ),
    "park: another epoch": part("park", "tonumber(ARGV[1]) + 1", "tonumber(ARGV[1])"),
    "plan: a version once": part(
        "plan", "tonumber(ARGV[2]) <= tonumber(redis", "-1 > tonumber(redis"
    ),
    "plan: nothing is kept after a stop": part(
        "plan", "redis.call('HEXISTS', RUN, 'cancel') == 1 and {} or "
    ),
    "plan: what is done is not waited for": part(
        "plan", "if redis.call('HGET', STATUS, input) ~= 'done' then", "if true then"
    ),
    "expand: once": line(
        "expand", "if status ~= 'ready' then return { 'refused', status or 'unknown' } end"
    ),
    "route: of a ready task": part("route", "status ~= 'ready' or "),
    "route: the next attempt": part("route", " or attempt + 1 ~= tonumber(ARGV[3])"),
    "route: within the budget": part("route", "if more > left then", "if false then"),
    "claim: the queued attempt": part("claim", " or not_attempt(ARGV[1], ARGV[2], 'queued')"),
    "renew: the running attempt": part("renew", " or not_attempt(ARGV[1], ARGV[2], 'running')"),
    "lose: the present attempt": part("lose", " or attempt ~= ARGV[2]"),
    "lose: an open attempt": part("lose", "(status ~= 'running' and status ~= 'queued') or ", ""),
    "lose: no loop": Guard("lose", r"\n *or redis\.call\('HEXISTS', CALLS, ARGV\[1\]\) == 0"),
    "lose: what was set aside is released": line("lose", "release(ARGV[1])"),
    "lose: the lease is given back": line("lose", "redis.call('ZREM', LEASES, ARGV[1])"),
    "settle: once": part("settle", "if not status or SETTLED[status]", "if not status"),
    "settle: no result after a stop": line(
        "settle", "if not no and ARGV[3] == 'done' then no = stopped() end"
    ),
    "settle: what was set aside is released": line("settle", "release(ARGV[2])"),
    "hold: of a ready task": line(
        "hold", "if status ~= 'ready' then return { 'refused', status or 'unknown' } end"
    ),
    "decide: once": Guard("decide", r"^if entry\.decision then return .*\n"),
    "decide: on what was seen": Guard("decide", r"^if entry\.digest ~= ARGV\[2\] then return .*\n"),
    "decide: in time": Guard("decide", r"^if ARGV\[3\] ~= 'expired' and (?s:.*?)^end\n"),
    "decide: of a held task": Guard("decide", r"^if redis\.call\('HGET', STATUS, .*\n"),
    "decide: a yes clears the ledger": part(
        "decide", "if ARGV[3] == 'approved' or ARGV[3] == 'done' then", "if false then"
    ),
    "intend: the running attempt": part("intend", " or not_attempt(ARGV[1], ARGV[2], 'running')"),
    "intend: not what is done": line(
        "intend", "if entry.state == 'done' then return { 'done', found } end"
    ),
    "intend: not what may have happened": Guard("intend", r"^ *if entry\.state ~= 'cleared' .*\n"),
    "ledger: not what is done": line(
        "ledger", "if entry.state == 'done' then return { 'refused', 'done' } end"
    ),
    "ledger: the attempt that began it": line("ledger", "return { 'refused', 'another attempt' }"),
    "write: not a result": Guard("write", r"^if redis\.call\('HEXISTS', STATUS, ARGV\[1\]\) .*\n"),
    "write: compare and set": line(
        "write", "if version ~= ARGV[2] then return { 'conflict', version } end"
    ),
    "cancel: once": Guard("cancel", r"^if redis\.call\('HEXISTS', RUN, 'cancel'\) .*\n"),
    "finish: all expires": Guard("finish", r"^for _, key in ipairs\(KEYS\) do .*\n"),
}
"""What holds the promises, by what it says."""


def unguarded(workspace: Workspace, name: str) -> None:
    """The scripts of this workspace go without a guard. Raises ValueError when it is not in them."""
    guard = GUARDS[name]
    scripts = workspace._scripts._scripts
    for script, (_, text) in scripts.items():
        if guard.script not in (ALL, script):
            continue
        changed, found = re.subn(guard.text, guard.instead, text, flags=re.MULTILINE)
        if found != 1:
            raise ValueError(f"{script}.lua has no such guard, or several: {name}")
        digest = hashlib.sha1(changed.encode(), usedforsecurity=False).hexdigest()
        scripts[script] = (digest, changed)
