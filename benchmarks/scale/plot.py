"""A picture of the growth: build time, size, time to search and recall by how many capabilities there are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt

PANELS = (
    ("build time (s)", "log"),
    ("resident after searches (MB)", "log"),
    ("search (ms)", "log"),
    ("recall@10", "linear"),
)


def plotted(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Writes an .svg or .png."""
    points = [point for row in rows for point in _points(row)]
    charts = [
        alt.Chart(alt.Data(values=[p for p in points if p["panel"] == panel]), title=panel)
        .mark_line(point=True)
        .encode(
            x=alt.X("capabilities:Q", scale=alt.Scale(type="log"), title="capabilities"),
            y=alt.Y("value:Q", scale=alt.Scale(type=scale, zero=False), title=panel),
            color=alt.Color("line:N", title=None),
        )
        .properties(width=300, height=200)
        for panel, scale in PANELS
    ]
    alt.vconcat(
        alt.hconcat(*charts[:2]).resolve_scale(color="independent"),
        alt.hconcat(*charts[2:]).resolve_scale(color="independent"),
    ).save(str(path))


def _points(row: dict[str, Any]) -> list[dict[str, object]]:
    recall, latency = row["recall"]["everything"], row["latency"]["everything"]
    lines = (
        (PANELS[0][0], "build", row["build_s"]),
        (PANELS[1][0], "resident", row["searched_mb"] - row["before_mb"]),
        (PANELS[2][0], "p50", latency[0]),
        (PANELS[2][0], "p99", latency[1]),
        (PANELS[3][0], "by meaning", recall[0]),
        (PANELS[3][0], "by both", recall[1]),
    )
    return [
        {"capabilities": row["capabilities"], "panel": panel, "line": line, "value": value}
        for panel, line, value in lines
    ]
