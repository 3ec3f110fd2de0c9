"""Requests that no capability here was made for, told apart by nearness to examples of them.

A capability that somebody adds for one of these ("translate") has examples that are nearer, and wins.
"""

import numpy as np

from pointsman.router.catalog import Catalog
from pointsman.router.planning.base import Embedder, Vectors
from pointsman.router.planning.retrieval import Retrieval, masked

EXAMPLES = (
    "book me a flight to Lisbon",
    "reserve a table at a restaurant for tonight",
    "order a pizza for delivery",
    "buy this product for me",
    "send an email to my boss",
    "text my wife that I am late",
    "call the support line",
    "set an alarm for 7 am",
    "remind me to take out the trash",
    "add a meeting to my calendar",
    "play some music",
    "turn off the lights",
    "what is the weather in Berlin today",
    "who won the world cup in 2018",
    "what is the capital of France",
    "who wrote Hamlet",
    "tell me a joke",
    "what is the meaning of life",
    "write a poem about the sea",
    "write me a short story",
    "write an essay on climate change",
    "write a cover letter for my job application",
    "write a Python function that sorts a list",
    "fix the bug in my code",
    "translate this to French",
    "how do you say good morning in Spanish",
    "delete all files on the server",
    "drop the database",
    "transfer 500 dollars to my savings account",
    "pay my electricity bill",
    "what is the stock price of Apple",
    "convert 100 dollars to euros",
    "recommend a good movie",
    "what should I cook for dinner",
    "give me directions to the airport",
    "generate an image of a cat",
    "draw me a picture of a house",
    "make a video from these photos",
    "transcribe this audio recording",
    "how are you today",
    "are you a robot",
    "what is your name",
    "restart the server",
    "deploy the application to production",
    "log in to my account",
    "what is my bank balance",
    "predict tomorrow's sales with a neural network",
    "forecast next year's revenue",
    "train a model on this",
    "explain quantum mechanics",
)
NEAR = 0.52
"""Cosine at which a clause counts as one of these, if no capability is nearer."""


class Foreign:
    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: Vectors | None = None

    async def nearness(self, text: str) -> float:
        """The cosine of a clause to the nearest example."""
        if self._vectors is None:
            self._vectors = await self._embedder.embed([masked(e) for e in EXAMPLES])
        query = (await self._embedder.embed([masked(text)]))[0]
        return float(np.max(self._vectors @ query))

    async def is_foreign(self, text: str, catalog: Catalog, retrieval: Retrieval) -> bool:
        nearness = await self.nearness(text)
        if nearness < NEAR:
            return False
        hits = await retrieval.rank(text, catalog)
        nearest = max((h.meaning for h in hits[:3]), default=0.0)
        return nearness > nearest + (0.2 if hits and hits[0].cue >= 0.9 else 0.0)
