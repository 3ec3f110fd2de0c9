"""The right answers, counted from the example files by no part of ours: plain Python, and the
usual readers for Parquet and XLSX.

Model-made results are held against what people said: `ratings.csv` are the means of twenty people per
review (VADER's set); the lists of tickets and notes were read and decided by hand.
"""

import csv
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
BILLING = ("T01", "T03", "T06", "T08", "T11", "T14", "T15", "T17", "T20")
ANGRY = ("T03", "T09", "T11", "T18")

Row = dict[str, Any]


def rows(name: str, folder: Path = EXAMPLES) -> list[Row]:
    with (folder / name).open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def groups(table: Iterable[Row], key: Callable[[Row], str]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in table:
        found[key(row)].append(row)
    return found


def total(table: Iterable[Row], column: str = "amount") -> float:
    return float(sum((Decimal(str(row[column])) for row in table), Decimal()))


def ranked(values: dict[str, float]) -> list[list[Any]]:
    return [[k, v] for k, v in sorted(values.items(), key=lambda pair: -pair[1])]


def of_sales() -> dict[str, Any]:
    sold = rows("sales.csv")
    paid = [r for r in sold if r["status"] == "paid"]
    amounts = [float(r["amount"]) for r in sold]
    by_region = {k: total(v) for k, v in groups(sold, lambda r: r["region"]).items()}
    by_product = {k: total(v) for k, v in groups(sold, lambda r: r["product"]).items()}
    units = {k: total(v, "quantity") for k, v in groups(sold, lambda r: r["product"]).items()}
    months = {k: total(v) for k, v in groups(sold, lambda r: r["date"][:7]).items()}
    first, third, ninth = (date(2025, m, 1) for m in (4, 7, 10))
    return {
        "sales_total": total(sold),
        "sales_median": statistics.median(amounts),
        "sales_north_paid": total(r for r in paid if r["region"] == "North"),
        "sales_open": sum(r["status"] == "open" for r in sold),
        "sales_over_2000": sum(a > 2000 for a in amounts),
        "sales_by_region": ranked(by_region),
        "sales_units": ranked(units),
        "sales_top_products": ranked(by_product)[:3],
        "sales_months": [[k, months[k]] for k in sorted(months)],
        "sales_q2": total(r for r in sold if first <= date.fromisoformat(r["date"]) < third),
        "sales_q3": total(r for r in sold if third <= date.fromisoformat(r["date"]) < ninth),
        "sales_status": ranked(dict(Counter(r["status"] for r in sold))),
        "sales_top5": [[a] for a in sorted(amounts, reverse=True)[:5]],
    }


def of_employees() -> dict[str, Any]:
    people = json.loads((EXAMPLES / "employees.json").read_text())
    pay = groups(people, lambda r: r["department"])
    longest = sorted(people, key=lambda r: r["hired"])
    return {
        "staff": len(people),
        "staff_mean_pay": ranked({k: total(v, "salary") / len(v) for k, v in pay.items()}),
        "staff_remote_lyon": sum(r["remote"] and r["city"] == "Lyon" for r in people),
        "staff_top_pay": max(r["salary"] for r in people),
        "staff_hired_2020": sorted(r["name"] for r in people if r["hired"] >= "2020-01-01"),
        "staff_first": longest[0]["name"],
    }


def of_reviews() -> dict[str, Any]:
    reviews = rows("reviews.csv")
    ratings = {r["id"]: float(r["rating"]) for r in rows("ratings.csv", HERE)}
    return {
        "reviews": len(reviews),
        "reviews_negative": sorted(k for k, v in ratings.items() if v <= -0.5),
        "reviews_not_negative": sorted(k for k, v in ratings.items() if v > 0.5),
        "reviews_positive": sorted(k for k, v in ratings.items() if v >= 0.5),
        "reviews_products": ranked(dict(Counter(r["product"] for r in reviews))),
    }


def of_texts() -> dict[str, Any]:
    tickets = rows("tickets.csv")
    notes = {p.name: p.read_text() for p in sorted((EXAMPLES / "notes").iterdir())}
    return {
        "tickets_billing": list(BILLING),
        "tickets_angry": list(ANGRY),
        "tickets_angry_billing": sorted(set(BILLING) & set(ANGRY)),
        "tickets": len(tickets),
        "lease_words": len(notes["office-lease.txt"].split()),
        "lease_tenant": notes["office-lease.txt"].casefold().count("tenant"),
        "policy": notes["backup-policy.md"],
        "lease_swapped": notes["office-lease.txt"].replace("tenant", "lessee"),
    }


def of_numbers() -> dict[str, Any]:
    acre = Decimal("4046.8564224")
    return {
        "acres": float(acre * Decimal("3.5") * 12),
        "fahrenheit": (98.6 - 32) / 1.8,
        "interest": float(Decimal("12500") * Decimal("1.035") ** 4),
        "discount": float(Decimal("249.90") * Decimal("0.85")),
        "until_exam": (date(2026, 12, 24) - date(2026, 3, 3)).days,
    }


def of_weather() -> dict[str, Any]:
    import duckdb

    with duckdb.connect() as database:
        read = f"from read_parquet('{EXAMPLES / 'weather.parquet'}')"
        days = database.execute(f"select station, temperature, rain, wind {read}").fetchall()
    by = groups([{"station": d[0], "rain": d[2]} for d in days], lambda r: r["station"])
    return {
        "weather_hottest": max(d[1] for d in days),
        "weather_rain": ranked({k: total(v, "rain") for k, v in by.items()}),
        "weather_dry_harbour": sum(d[0] == "Harbour" and d[2] == 0 for d in days),
    }


def of_budget() -> dict[str, Any]:
    from openpyxl import load_workbook

    sheet = load_workbook(EXAMPLES / "budget.xlsx")["Budget"]
    lines: list[list[Any]] = [list(r) for r in sheet.iter_rows(min_row=2, values_only=True)]
    teams = {str(r[0]) for r in lines}
    spent = {team: float(sum(r[3] for r in lines if r[0] == team)) for team in teams}
    return {
        "budget_spent": ranked(spent),
        "budget_over": sum(r[3] > r[2] for r in lines),
        "budget_planned": sum(r[2] for r in lines),
    }


PARTS = (of_sales, of_employees, of_reviews, of_texts, of_numbers, of_weather, of_budget)


def compute() -> dict[str, Any]:
    """All right answers by name."""
    return {name: value for part in PARTS for name, value in part().items()}


if __name__ == "__main__":
    print(json.dumps(compute(), indent=1))
