"""Takes a fence out of a script, to see that its absence is found."""

import hashlib
import re

from pointsman.router.workspace import Workspace

FENCE = re.compile(
    r"^no = not_attempt\(task, ARGV\[2\], 'running'\)\nif no then\n.*?^end\n", re.M | re.S
)
"""Of commit.lua: refuses whatever is not the attempt that runs."""


def unfenced(workspace: Workspace) -> None:
    """Commits of this workspace pass whatever the attempt. Raises ValueError when there is no fence."""
    scripts = workspace._scripts._scripts
    text, found = FENCE.subn("", scripts["commit"][1])
    if found != 1:
        raise ValueError("the commit script has no fence of the attempt, or another one")
    scripts["commit"] = (hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), text)
