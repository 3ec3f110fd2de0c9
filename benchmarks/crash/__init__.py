"""Random plans while gateways, controllers, workers and Redis are killed: what is lost, what is done twice.

Every part is a process of its own and dies by SIGKILL at random moments; some are stopped for longer than
their lease and wake up again. All four effect classes call a recording tool server, whose books are compared
with the workspace at the end. `benchmarks.crash.verify` says what is checked.
"""

import argparse
import sys


def main(arguments: list[str]) -> dict[str, object]:
    """Raises SystemExit(1), after its table, when a promise was broken."""
    parser = argparse.ArgumentParser(prog="benchmarks crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None, help="of the plans and of who is killed")
    parser.add_argument("--appendfsync", choices=("always", "everysec"), default="always")
    parser.add_argument("--gap", type=float, default=1.0, help="mean seconds between two kills")
    parser.add_argument("--at-once", type=int, default=16, help="runs under way at a time")
    parser.add_argument("--keep", action="store_true", help="keep the logs and the state of Redis")
    options = parser.parse_args(arguments)

    from benchmarks.crash.report import show, summary
    from benchmarks.crash.trial import Conditions, conduct  # with all that a server imports

    found = conduct(
        Conditions(
            kills=options.kills,
            seed=options.seed,
            appendfsync=options.appendfsync,
            gap=options.gap,
            at_once=options.at_once,
            keep=options.keep,
        )
    )
    show(found)
    if found.violations:
        sys.exit(1)
    return summary(found)
