"""Every operation called on a server made from its description: valid arguments are taken, invalid ones never sent."""

import asyncio
from pathlib import Path

from benchmarks.tools import descriptions
from pointsman.experts.tools.openapi.operations import read_api
from pointsman.experts.tools.openapi.reading import read_document
from pointsman.experts.tools.openapi.registered import ApiIn
from pointsman.experts.tools.openapi.trying import tried


def run(data: Path) -> dict[str, object]:
    """Each operation with the least arguments and with all, the answer checked strictly, and once with wrong ones."""
    found: dict[str, object] = {}
    operations = 0
    for name, content in descriptions(data):
        api = read_api(read_document(content, name))
        given = ApiIn(openapi="a.json", name="api", url="https://api.example.com")
        faults = asyncio.run(tried(given, api))
        operations += len(api.operations)
        found[name] = {"operations": len(api.operations), "faults": faults}
        print(f"{name[:44]:44} {len(api.operations):5} operations, {len(faults)} with a fault")
        for key, why in list(faults.items())[:5]:
            print(f"    {key}: {why}")
    print(f"{operations} operations in all")
    return found
