"""What the commands of `pointsman tools` share: the group, options, the folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman.cli.base import app

if TYPE_CHECKING:
    from pointsman.experts.tools.folder import ToolFolder

tools = typer.Typer(
    help="APIs and tools of your own as capabilities: add, list, update, remove, check, mock.",
    no_args_is_help=True,
)
app.add_typer(tools, name="tools")
add = typer.Typer(help="Make capabilities of an API.", no_args_is_help=True)
tools.add_typer(add, name="add")

Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        envvar="POINTSMAN_TOOLS",
        help="Where tools are kept. Default: the folder 'tools' in POINTSMAN_HOME.",
    ),
]
Name = Annotated[str, typer.Argument(help="The name of a tool, as `list` shows it.")]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        help='A "host:port" that may be called although it is not public; can be repeated.'
    ),
]


def tool_folder(folder: Path | None, home: Path | None) -> "ToolFolder":
    from pointsman.experts.tools.folder import ToolFolder
    from pointsman.services.settings import Settings

    settings = Settings(home=home) if home is not None else Settings()
    return ToolFolder(folder or settings.tool_folder)
