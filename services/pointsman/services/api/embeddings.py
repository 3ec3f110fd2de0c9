"""The OpenAI protocol: /v1/embeddings, by an encoder that is here. Those of remote experts are passed through."""

import base64
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from pointsman.router.events import Fault
from pointsman.router.planning.base import Vectors
from pointsman.services.api.chat import ModelNotFound, Unsupported
from pointsman.services.api.errors import error_response
from pointsman.services.api.gateway import Here

router = APIRouter(tags=["openai"])

PATH = "/v1/embeddings"
Text = Annotated[str, Field(min_length=1, max_length=100_000)]


class EmbeddingsIn(BaseModel):
    """dimensions: the first so many, of length one again."""

    model_config = ConfigDict(extra="allow")

    model: str
    input: Text | Annotated[list[Text], Field(min_length=1, max_length=2_048)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None


@router.post(PATH)
async def embeddings(body: EmbeddingsIn, here: Here) -> Response:
    """Vectors of texts, of length one. Tokens are estimated: a word counts one and a third."""
    embed = here.embedders.get(body.model)
    if embed is None:
        error = ModelNotFound(body.model, tuple(here.embedders))
        return error_response(PATH, Fault.of(error), 404, param="model")
    texts = [body.input] if isinstance(body.input, str) else body.input
    vectors = await embed(texts)
    if body.dimensions is not None and body.dimensions > vectors.shape[1]:
        why = f"dimensions: {body.model} has {vectors.shape[1]}"
        fault = Fault(Unsupported.code, why, "caller")
        return error_response(PATH, fault, 400, param="dimensions")
    shown = _cut(vectors, body.dimensions)
    tokens = sum(-(-len(t.split()) * 4 // 3) for t in texts)
    return JSONResponse(
        {
            "object": "list",
            "model": body.model,
            "data": [
                {"object": "embedding", "index": i, "embedding": _written(v, body.encoding_format)}
                for i, v in enumerate(shown)
            ],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _cut(vectors: Vectors, dimensions: int | None) -> Vectors:
    if dimensions is None:
        return vectors
    short = vectors[:, :dimensions]
    lengths = np.linalg.norm(short, axis=1, keepdims=True)
    made: Vectors = (short / np.maximum(lengths, 1e-12)).astype(np.float32)
    return made


def _written(vector: Vectors, form: str) -> Any:
    if form == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(x) for x in vector]
