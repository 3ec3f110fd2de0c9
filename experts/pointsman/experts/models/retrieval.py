"""The experts that stand on the encoder alone, one for each capability."""

from pointsman.experts.base import Call, Done, Expert
from pointsman.experts.models.answers import answer_tool
from pointsman.experts.models.embeddings import embed_tool
from pointsman.experts.models.encoder import Encoder
from pointsman.experts.models.near_duplicates import duplicates_tool
from pointsman.experts.models.phrases import key_phrases_tool
from pointsman.experts.models.search import search_tool
from pointsman.experts.models.summary import summarize_tool
from pointsman.experts.models.topic_groups import topics_tool
from pointsman.experts.tools.functions import Tool
from pointsman.router.cards import ExpertCard
from pointsman.router.catalog import Capability


class ModelExpert:
    """One capability served by the shared encoder. Closing it leaves the encoder to its owner."""

    def __init__(self, name: str, description: str, tool: Tool, *, concurrency: int = 4) -> None:
        self._tool = tool
        self.capabilities: tuple[Capability, ...] = (tool.capability,)
        self.card = ExpertCard(
            name=name,
            kind="model",
            description=description,
            serves={tool.capability.name: tool.capability.prior},
            concurrency=concurrency,
        )

    async def run(self, call: Call) -> Done:
        return await self._tool.run(call)

    async def close(self) -> None:
        return None


def experts_on(encoder: Encoder) -> list[Expert]:
    """The retrieval experts, all on one encoder."""
    return [
        ModelExpert(
            "minilm-embed",
            "all-MiniLM-L6-v2: sentence vectors on CPU",
            embed_tool(encoder),
            concurrency=8,
        ),
        ModelExpert(
            "minilm-search",
            "all-MiniLM-L6-v2 vectors and BM25: search by meaning and words",
            search_tool(encoder),
        ),
        ModelExpert(
            "minilm-duplicates",
            "all-MiniLM-L6-v2 vectors and word checks: near-duplicates",
            duplicates_tool(encoder),
        ),
        ModelExpert(
            "minilm-topics",
            "all-MiniLM-L6-v2 vectors, Ward linkage, phrase labels: topics",
            topics_tool(encoder),
        ),
        ModelExpert(
            "minilm-phrases",
            "all-MiniLM-L6-v2 vectors over noun phrases: key phrases",
            key_phrases_tool(encoder),
        ),
        ModelExpert(
            "minilm-summary",
            "all-MiniLM-L6-v2 vectors and LexRank: extractive summaries",
            summarize_tool(encoder),
        ),
        ModelExpert(
            "minilm-answer",
            "all-MiniLM-L6-v2 vectors and answer types: quoted answers",
            answer_tool(encoder),
        ),
    ]


def retrieval_tools(encoder: Encoder) -> tuple[Tool, ...]:
    """The same capabilities as plain tools."""
    return (
        embed_tool(encoder),
        search_tool(encoder),
        duplicates_tool(encoder),
        topics_tool(encoder),
        key_phrases_tool(encoder),
        summarize_tool(encoder),
        answer_tool(encoder),
    )
