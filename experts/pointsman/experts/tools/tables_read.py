"""Reads a stored file as a table."""

from pointsman.experts.base import Call, Done
from pointsman.experts.database import Database, guarded_errors
from pointsman.experts.readers import open_table
from pointsman.experts.tools.functions import capability
from pointsman.router.catalog import Prior
from pointsman.router.values import TABLE, FileRef


@capability(
    "table.read",
    title="read a table",
    examples=[
        "open sales.csv",
        "load the spreadsheet",
        "show me what is in orders.xlsx",
        "read the second sheet of budget.xlsx",
        "what does this parquet file contain",
        "import the JSON export of our customers",
        "take the data from survey.tsv",
        "print the rows of events.jsonl",
        "display the first lines of the file",
        "look at the table in inventory.csv",
    ],
    composition=[
        "comes first for every question about a CSV, TSV, Excel, JSON or Parquet file",
        "its table goes to table.filter, table.aggregate, table.sort, chart.draw or any text task",
    ],
    prior=Prior(quality=0.98, latency=0.2),
    output=dict(TABLE),
)
def read(file: FileRef, call: Call, sheet: str | None = None) -> Done:
    """Reads a CSV, TSV, Excel, JSON, JSON Lines or Parquet file as a table with typed columns.

    Delimiter, encoding, header, numbers, money, dates and missing values are recognised.

    Args:
        file: the file to read.
        sheet: name of the sheet of a workbook; the first one with content if not given.
    """
    with Database(call.files) as database, guarded_errors(file.name):
        opened = open_table(database, call.files.path(file), file.name, sheet)
        table = database.result(
            opened.select,
            names=[c.name for c in opened.columns],
            types=[c.type for c in opened.columns],
            name=file.name,
        )
    size = f"{table.row_count:,} rows, {len(table.columns)} columns"
    return Done(table.to_json(), "; ".join([size, *opened.notes]))


TOOLS = (read,)
