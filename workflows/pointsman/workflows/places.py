"""Where something stands in a YAML text: its path and its line, for messages."""

from collections.abc import Sequence

import yaml


def place_of(text: str, path: Sequence[str]) -> str:
    """ "plan/tasks/0/id (line 12)": the line of the nearest place on the path that exists.

    text: YAML that can be parsed.
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 1
    for step in path:
        found = _inner(node, step)
        if found is None:
            break
        mark, node = found
        line = mark.start_mark.line + 1
    return f"{'/'.join(path) or 'the top'} (line {line})"


def _inner(node: yaml.Node | None, step: str) -> tuple[yaml.Node, yaml.Node] | None:
    """The node that tells where a step stands (a key, or an item), and the one it leads to."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key, value
    if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
        item: yaml.Node = node.value[int(step)]
        return item, item
    return None
