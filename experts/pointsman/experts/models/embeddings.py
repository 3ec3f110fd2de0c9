"""Texts to vectors, for plans that hand them on."""

import numpy as np

from pointsman.experts.base import Call, Done
from pointsman.experts.models.encoder import Encoder
from pointsman.experts.models.inputs import Texts, rows_in, vectors_of
from pointsman.experts.tools.functions import Tool, capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments

MOST = 2_000


def embed_tool(encoder: Encoder) -> Tool:
    @capability(
        "text.embed",
        title="turn texts into vectors",
        examples=[
            "embed these sentences",
            "compute embeddings for the column title",
            "give me the vector of this text",
            "sentence embeddings of each line",
            "vectorize the descriptions",
            "turn the questions into 384-dimensional vectors",
            "semantic vectors for my product names",
            "encode these texts as numbers",
        ],
        composition=[
            "For use outside; text.search, text.topics and text.duplicates embed by themselves."
        ],
        prior=Prior(quality=0.95, latency=0.1),
        output={"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
    )
    async def embed(texts: Texts, *, call: Call) -> Done:
        """Turns each text into a vector of 384 numbers and length 1, close for texts of like meaning.

        Args:
            texts: a list of texts, one text, or a table with a text column.
        """
        found, _ = await rows_in(texts, None, call)
        if len(found) > MOST:
            raise BadArguments(
                f"text.embed: {len(found):,} texts, the limit is {MOST:,}; take fewer"
            )
        vectors = await vectors_of(encoder, found, call, "texts", upto=1.0)
        return Done(
            np.round(vectors.astype(np.float64), 6).tolist(),
            f"{len(found):,} vectors of {encoder.dim} numbers",
        )

    return embed
