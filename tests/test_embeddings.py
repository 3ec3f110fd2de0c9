"""/v1/embeddings through the official client, on the bundled encoder."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import openai
import pytest
from stage import stage_on
from stage_scripts import SCRIPTS

from pointsman.experts.models.encoder import Encoder
from pointsman.router.workspace import Workspace

pytestmark = pytest.mark.anyio
NAME = "all-minilm-l6-v2"


@pytest.fixture
async def client(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> AsyncIterator[openai.AsyncOpenAI]:
    encoder = Encoder()
    embedders = {NAME: encoder.embed}
    async with (
        stage_on(redis_url, tmp_path, SCRIPTS, embedders=embedders) as here,
        openai.AsyncOpenAI(base_url=f"{here.address}/v1", api_key="none", max_retries=0) as made,
    ):
        yield made
    encoder.close()


async def test_vectors_are_of_length_one_near_for_like_texts_and_the_same_in_both_forms(
    client: openai.AsyncOpenAI,
) -> None:
    texts = ["a cat sleeps", "a kitten naps", "interest rates rose"]
    made = await client.embeddings.create(model=NAME, input=texts)
    assert [d.index for d in made.data] == [0, 1, 2]
    vectors = np.array([d.embedding for d in made.data])
    assert vectors.shape == (3, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3
    assert made.usage.prompt_tokens > 0
    plain = await client.embeddings.create(model=NAME, input=texts[0], encoding_format="float")
    assert np.allclose(plain.data[0].embedding, vectors[0], atol=1e-5)
    short = await client.embeddings.create(model=NAME, input=texts[0], dimensions=64)
    assert len(short.data[0].embedding) == 64
    assert np.isclose(np.linalg.norm(short.data[0].embedding), 1, atol=1e-5)
    assert NAME in [m.id async for m in client.models.list()]


async def test_what_cannot_be_embedded(client: openai.AsyncOpenAI) -> None:
    for fields, error in (
        ({"model": "nothing"}, openai.NotFoundError),
        ({"input": []}, openai.BadRequestError),
        ({"input": ""}, openai.BadRequestError),
        ({"dimensions": 4_000}, openai.BadRequestError),
    ):
        with pytest.raises(error):
            await client.embeddings.create(**{"model": NAME, "input": "x", **fields})
