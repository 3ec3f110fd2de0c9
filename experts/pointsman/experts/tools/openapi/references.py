"""`$ref` inside of a description: JSON Pointers (RFC 6901), followed when they are needed."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

FOLLOWED = 50
"""References that may lead one to the next."""


class BadReference(Exception):
    """A reference that leads nowhere, in a circle, or out of the document. str: why."""


class References:
    def __init__(self, tree: Mapping[str, Any]) -> None:
        self._tree = tree

    def at(self, ref: str) -> Any:
        """What a reference points to. Raises BadReference."""
        if not ref.startswith("#"):
            raise BadReference(f"it refers to another file, {ref[:100]!r}; put that into this one")
        node: Any = self._tree
        for part in parts(ref):
            if isinstance(node, Mapping) and part in node:
                node = node[part]
            elif isinstance(node, Sequence) and not isinstance(node, str) and part.isdecimal():
                if int(part) >= len(node):
                    raise BadReference(f"it refers to {ref!r}, which is not there")
                node = node[int(part)]
            else:
                raise BadReference(f"it refers to {ref[:100]!r}, which is not there")
        return node

    def follow(self, node: Any) -> Mapping[str, Any]:
        """The object itself, or the one that it refers to. Raises BadReference."""
        for _ in range(FOLLOWED):
            if not isinstance(node, Mapping):
                raise BadReference("an object is expected where there is none")
            ref = node.get("$ref")
            if not isinstance(ref, str):
                return node
            node = self.at(ref)
        raise BadReference("references lead in a circle")


def parts(ref: str) -> list[str]:
    """The steps of a JSON Pointer in a fragment."""
    pointer = unquote(ref.partition("#")[2])
    if not pointer:
        return []
    if not pointer.startswith("/"):
        raise BadReference(
            f"it refers to {ref[:100]!r}; only paths inside of the document are followed"
        )
    return [p.replace("~1", "/").replace("~0", "~") for p in pointer[1:].split("/")]
