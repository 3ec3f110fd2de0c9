"""What can be asked for, and who serves it."""

from typing import Any

from fastapi import APIRouter

from pointsman.router.cards import CARD
from pointsman.services.api.gateway import Here

router = APIRouter(tags=["capabilities"])


@router.get("/v1/capabilities")
async def capabilities(here: Here) -> dict[str, Any]:
    """Everything that live experts serve, each with the names of the experts that serve it."""
    live = await here.workspace.experts()
    catalog = await here.workspace.catalog()
    found = sorted(catalog, key=lambda c: c.name)
    return {
        "capabilities": [
            {
                **c.to_json(),
                "experts": sorted(e.card.name for e in live if c.name in e.card.serves),
            }
            for c in found
        ]
    }


@router.get("/v1/experts")
async def experts(here: Here) -> dict[str, Any]:
    """The experts that announced themselves lately; `seen` is seconds since the epoch."""
    live = await here.workspace.experts()
    return {
        "experts": [
            {**CARD.dump_python(e.card, mode="json"), "workers": e.workers, "seen": e.seen}
            for e in sorted(live, key=lambda e: e.card.name)
        ]
    }
