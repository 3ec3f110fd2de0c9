"""What came of a call: structured content as it is, texts as a text, all else as files."""

import base64
import binascii
import json
import mimetypes
from collections.abc import Sequence
from typing import Any

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from pointsman.experts.base import Files
from pointsman.router.errors import ExpertError

LARGEST = 8 << 20
"""Bytes of a file, and characters of a text."""
TOLD = 300


class ToolFailed(ExpertError):
    """A tool says that it failed. Whether it did something before, it does not say."""

    code = "expert.tool-failed"
    retryable = False


def value_of(result: CallToolResult, tool: str, files: Files) -> Any:
    """Raises ToolFailed."""
    if result.is_error:
        said = " ".join(_text(result.content).split())
        raise ToolFailed(f"{tool} failed: {said[:TOLD]!r}" if said else f"{tool} failed")
    if result.structured_content is not None:
        return _unwrapped(result.structured_content)
    parts = [_part(block, tool, files) for block in result.content]
    if all(isinstance(p, str) for p in parts):
        return _maybe_json("\n".join(parts))
    return parts[0] if len(parts) == 1 else parts


def _unwrapped(value: Any) -> Any:
    """{"result": x} is how servers give what is no object, before 2026-07-28."""
    return value["result"] if isinstance(value, dict) and value.keys() == {"result"} else value


def _text(content: Sequence[Any]) -> str:
    return "\n".join(b.text for b in content if isinstance(b, TextContent))


def _maybe_json(text: str) -> Any:
    """A text that is an object or a list written out is that."""
    if len(text) > LARGEST:
        raise ToolFailed(f"its answer is longer than {LARGEST:,} characters")
    if text.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _part(block: Any, tool: str, files: Files) -> Any:
    match block:
        case TextContent():
            return block.text
        case ImageContent() | AudioContent():
            return _file(tool, block.mime_type, block.data, files)
        case EmbeddedResource(resource=BlobResourceContents() as resource):
            return _file(
                tool, resource.mime_type or "application/octet-stream", resource.blob, files
            )
        case EmbeddedResource(resource=TextResourceContents() as resource):
            return resource.text
        case ResourceLink():
            return {"uri": str(block.uri), "name": block.name}
        case _:
            return {}


def _file(tool: str, media: str, packed: str, files: Files) -> Any:
    if len(packed) > LARGEST * 4 // 3:
        raise ToolFailed(f"{tool} answered with a file larger than {LARGEST >> 20} MiB")
    try:
        content = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        raise ToolFailed(f"{tool} answered with a file that cannot be unpacked") from None
    end = mimetypes.guess_extension(media.partition(";")[0]) or ".bin"
    return files.create(f"{tool}{end}", media, content).to_json()
