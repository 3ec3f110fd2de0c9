"""The right answers to the further requests (more.yaml), counted from the example files by no part of ours."""

import json
import re
import statistics
from collections import Counter
from typing import Any

from benchmarks.requests.gold import EXAMPLES, HERE, groups, rows, total


def of_sales() -> dict[str, Any]:
    sold = rows("sales.csv")
    refunded = Counter(r["region"] for r in sold if r["status"] == "refunded")
    chairs = [
        r
        for r in sold
        if (r["product"], r["region"], r["status"]) == ("office chair", "South", "paid")
    ]
    return {
        "west": sum(r["region"] == "West" for r in sold),
        "refunds_most": [refunded.most_common(1)[0][0]],
        "products": len({r["product"] for r in sold}),
        "keyboards": total((r for r in sold if r["product"] == "keyboard"), "quantity"),
        "june": sum("2025-06-01" <= r["date"] <= "2025-06-15" for r in sold),
        "refunded": sum(refunded.values()),
        "chairs": total(chairs),
        "sales_largest": max(float(r["amount"]) for r in sold),
    }


def of_employees() -> dict[str, Any]:
    people = json.loads((EXAMPLES / "employees.json").read_text())
    finance = sorted(
        (p for p in people if p["department"] == "Finance"), key=lambda p: -p["salary"]
    )
    newest = sorted(people, key=lambda p: str(p["hired"]), reverse=True)
    remote = groups(people, lambda p: str(p["remote"]))
    years = Counter(int(p["hired"][:4]) for p in people)
    return {
        "porto_well_paid": sorted(
            p["name"] for p in people if p["city"] == "Porto" and p["salary"] > 60000
        ),
        "finance_top": [[p["name"]] for p in finance[:3]],
        "remote_pay": [[total(found, "salary") / len(found)] for found in remote.values()],
        "hires": [[str(y), n] for y, n in sorted(years.items())],
        "newest": [[p["name"]] for p in newest[:4]],
    }


def of_weather() -> dict[str, Any]:
    import duckdb

    with duckdb.connect() as database:
        read = f"from read_parquet('{EXAMPLES / 'weather.parquet'}')"
        days = database.execute(f"select station, temperature, wind {read}").fetchall()
    stations = sorted({d[0] for d in days})
    spans = {s: [d[1] for d in days if d[0] == s] for s in stations}
    return {
        "station_span": [[s, min(spans[s]), max(spans[s])] for s in stations],
        "wind_median": statistics.median(d[2] for d in days if d[0] == "Airport"),
        "correlation": [[statistics.correlation([d[1] for d in days], [d[2] for d in days])]],
    }


def of_budget() -> dict[str, Any]:
    from openpyxl import load_workbook

    sheet = load_workbook(EXAMPLES / "budget.xlsx")["Budget"]
    lines: list[list[Any]] = [list(r) for r in sheet.iter_rows(min_row=2, values_only=True)]
    teams = sorted({str(r[0]) for r in lines})
    sums = [[sum(r[c] for r in lines if r[0] == t) for c in (2, 3)] for t in teams]
    return {
        "over": sum(r[3] > r[2] for r in lines),
        "plan_spent": [[t, *s] for t, s in zip(teams, sums, strict=True)],
    }


def of_texts() -> dict[str, Any]:
    notes = {p.name: p.read_text() for p in sorted((EXAMPLES / "notes").iterdir())}
    ratings = {r["id"]: float(r["rating"]) for r in rows("ratings.csv", HERE)}
    phones = [r["id"] for r in rows("reviews.csv") if r["product"] == "Nokia phone"]
    return {
        "landlord": len(re.findall(r"\blandlord\b", notes["office-lease.txt"], re.IGNORECASE)),
        "retro": notes["retro-meeting.md"],
        "nokia_negative": sorted(i for i in phones if ratings[i] <= -0.5),
    }


def of_numbers() -> dict[str, Any]:
    mile = 1.609344
    return {"marathon": 26.2 * mile, "twelve": 12 * mile, "oven": (350 - 32) / 1.8 / 2}


PARTS = (of_sales, of_employees, of_weather, of_budget, of_texts, of_numbers)


def compute() -> dict[str, Any]:
    """All right answers by name."""
    return {name: value for part in PARTS for name, value in part().items()}
