"""The experts that come with Pointsman, put together: this is where a new one is added."""

from collections.abc import Sequence
from pathlib import Path

from pointsman.experts.base import Expert
from pointsman.experts.models import classification, retrieval
from pointsman.experts.models.encoder import Encoder
from pointsman.experts.models.fitted import fitted_experts
from pointsman.experts.tools import (
    calculator,
    chart,
    dates,
    documents,
    export,
    http,
    tables_describe,
    tables_query,
    tables_read,
    tables_sql,
    tables_stats,
    texts,
    units,
)
from pointsman.experts.tools.folder import ToolFolder
from pointsman.experts.tools.functions import ToolExpert
from pointsman.experts.tools.loading import load_experts
from pointsman.router.planning.llm.settings import RemoteSettings


def tool_experts(*, http_allow: Sequence[str] = ()) -> list[Expert]:
    """Everything that needs no model. `http_allow`: "host:port" reachable although not public."""
    return [
        ToolExpert("readers", "Reads tables and documents", (*tables_read.TOOLS, *documents.TOOLS)),
        ToolExpert(
            "tables",
            "DuckDB: filters, groups, sorts, describes and joins tables",
            (*tables_query.TOOLS, *tables_stats.TOOLS, *tables_describe.TOOLS, *tables_sql.TOOLS),
        ),
        ToolExpert("charts", "Draws tables as pictures", chart.TOOLS, concurrency=2),
        ToolExpert("exports", "Writes tables as files", export.TOOLS),
        calculator.CALCULATOR,
        units.UNITS,
        dates.DATES,
        texts.TEXTS_EXPERT,
        http.http_expert(http_allow),
    ]


def model_experts(encoder: Encoder) -> list[Expert]:
    """Everything that stands on the bundled encoder."""
    return [*retrieval.experts_on(encoder), *classification.experts_on(encoder)]


def remote_experts(settings: RemoteSettings | None) -> list[Expert]:
    """A model behind an OpenAI-compatible endpoint: writes, and rivals the local experts."""
    if settings is None:
        return []
    from pointsman.experts.remote import RIVALS, RemoteModel  # openai takes a second to import

    return [RemoteModel(settings, serves=("text.write", *RIVALS))]


def all_experts(
    encoder: Encoder,
    *,
    remote: RemoteSettings | None = None,
    http_allow: Sequence[str] = (),
    paths: Sequence[Path] = (),
    tools: Path | None = None,
    fitted: Path | None = None,
) -> list[Expert]:
    """Ours, then those of the user: `paths`, entry points, and what is registered in the folders `tools` and
    `fitted`.

    Raises CatalogError, BadFile, BadExpert.
    """
    return [
        *tool_experts(http_allow=http_allow),
        *model_experts(encoder),
        *remote_experts(remote),
        *load_experts(paths, allow=http_allow),
        *(ToolFolder(tools).load(http_allow) if tools is not None else ()),
        *(fitted_experts(fitted, encoder.host) if fitted is not None else ()),
    ]
