"""1,000 experts registered, 64 in memory: what a request costs whose expert is there, and whose is not."""

import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pointsman.experts.models.adapters import MODULES, save_adapter
from pointsman.experts.models.host import Host
from pointsman.experts.models.readings import Head
from pointsman.experts.models.registry.folder import ExpertFolder, digests, save_head
from pointsman.experts.models.registry.manifest import HEAD, MANIFEST, Manifest, backbone_sha256
from pointsman.experts.models.registry.shelf import Shelf

REGISTERED, IN_MEMORY, RANK, LABELS = 1_000, 64, 8, 10
ASKED = 400


async def measure(texts: Sequence[str]) -> dict[str, Any]:
    short = [t for t in texts if len(t) < 100]
    with tempfile.TemporaryDirectory() as place:
        folder = ExpertFolder(Path(place) / "experts")
        began = time.perf_counter()
        for n in range(REGISTERED):
            source = _written(Path(place) / f"source{n}", f"expert{n}", n)
            folder.serve(f"expert{n}", folder.add(source))
        registered = (time.perf_counter() - began) / REGISTERED
        host, shelf = Host(), Shelf(folder, room=IN_MEMORY)
        await host.ready()
        chance = random.Random(0)
        took: dict[str, list[float]] = {"hit": [], "miss": []}
        paged: dict[str, list[float]] = {"hit": [], "miss": []}
        for n in range(ASKED):
            hot = n % 2 == 0
            name = f"expert{chance.randrange(IN_MEMORY // 2) if hot else chance.randrange(IN_MEMORY, REGISTERED)}"
            before = shelf.counts.hits
            began = time.perf_counter()
            expert = await shelf.get(name)
            got = time.perf_counter()
            await host.read([chance.choice(short)], expert.reading)
            kind = "hit" if shelf.counts.hits > before else "miss"
            took[kind].append(1e3 * (time.perf_counter() - began))
            paged[kind].append(1e3 * (got - began))
        host.close()
    found: dict[str, Any] = {"register_ms": 1e3 * registered, "in_memory": len(shelf)}
    print(
        f"paging | {REGISTERED:,} experts of rank {RANK} registered | {1e3 * registered:.1f} ms each"
    )
    for kind in ("hit", "miss"):
        whole, page = statistics.median(took[kind]), statistics.median(paged[kind])
        p99 = sorted(took[kind])[int(0.99 * len(took[kind]))]
        found[kind] = {"ms": whole, "p99_ms": p99, "paging_ms": page, "count": len(took[kind])}
        print(
            f"paging | {kind}, {len(took[kind])} requests | median {whole:.1f} ms (of it paging {page:.2f} ms), p99 {p99:.1f} ms"
        )
    return found


def _written(folder: Path, name: str, seed: int) -> Path:
    folder.mkdir()
    random = torch.Generator().manual_seed(seed)
    weights = {
        (layer, module): (
            torch.randn(MODULES[module].inputs, RANK, generator=random) / 50,
            torch.randn(RANK, MODULES[module].outputs, generator=random) / 50,
        )
        for layer in range(6)
        for module in ("attention.self.query", "attention.self.value")
    }
    save_adapter(folder, weights, alpha=16, base="all-MiniLM-L6-v2", dtype=torch.float16)
    save_head(folder / HEAD, Head(torch.randn(384, LABELS, generator=random), torch.zeros(LABELS)))
    manifest = Manifest(
        name=name,
        kind="sequence",
        labels=tuple(f"label{n}" for n in range(LABELS)),
        backbone_sha256=backbone_sha256(),
        files=digests(folder),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return folder
