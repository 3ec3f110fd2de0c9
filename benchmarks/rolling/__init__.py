"""Every process restarted under load, one after the other, with two gateways behind nginx: what clients see.

Two gateways, two controllers and two workers as `pointsman serve --role ...` starts them, Redis with an
append-only file that is always synced, nginx with the configuration in deploy/. Clients submit runs with two
effects, one `keyed` and one `once`, and follow their streams. Each process gets SIGTERM, ends, and is started
again; the next one follows when it is ready. Prints the time from submission to the last event as clients saw it,
before and meanwhile, and what failed or happened twice.
"""

import argparse
import sys


def main(arguments: list[str]) -> dict[str, object]:
    """Raises SystemExit(1), after its table, when a run failed or an effect is missing or happened twice."""
    parser = argparse.ArgumentParser(prog="benchmarks rolling", description=__doc__)
    parser.add_argument("--before", type=float, default=20.0, help="seconds of load before")
    parser.add_argument("--at-once", type=int, default=8, help="runs under way at a time")
    parser.add_argument("--rounds", type=int, default=1, help="restarts of every process")
    options = parser.parse_args(arguments)

    from benchmarks.rolling.trial import conduct

    found = conduct(options.before, options.at_once, options.rounds)
    for name, value in found.items():
        print(f"{name:45} {value}")
    if found["runs not done"] or found["effects that are missing"] or found["effects twice"]:
        sys.exit(1)
    return found
