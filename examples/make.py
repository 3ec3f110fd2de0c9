"""Makes the example files that are made up: python examples/make.py. The same files come out each time.

`python examples/make.py reviews SNIPPETS RATINGS` draws reviews.csv from amazonReviewSnippets.jsonl, and
writes the people's ratings, which the example does not show, to RATINGS.
"""

import csv
import json
import random
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PRODUCTS = {
    "desk lamp": "34.90",
    "office chair": "189.00",
    "standing desk": "429.50",
    "monitor arm": "79.95",
    "keyboard": "64.00",
    "notebook": "4.25",
}
REGIONS = ("North", "South", "East", "West")
STATUSES = ("paid", "paid", "paid", "paid", "paid", "open", "open", "refunded")
DOCUMENTS = {
    "DVD player": range(1, 101),
    "Canon camera": range(101, 145),
    "Nikon camera": range(145, 178),
    "Nokia phone": range(178, 216),
    "MP3 player": range(216, 315),
}
"""Which documents of the source speak of which product."""


def sales() -> None:
    draw = random.Random(20260101)
    first = date(2025, 1, 1)
    days = sorted(draw.randrange(365) for _ in range(400))
    with (HERE / "sales.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["date", "region", "product", "quantity", "unit_price", "amount", "status"])
        for day in days:
            product = draw.choice(list(PRODUCTS))
            quantity = draw.randint(1, 12) * (10 if product == "notebook" else 1)
            cents = round(float(PRODUCTS[product]) * 100 * draw.choice((1, 1, 1, 0.9)))
            row = [first + timedelta(day), draw.choices(REGIONS, (5, 3, 4, 2))[0], product]
            row += [quantity, f"{cents / 100:.2f}", f"{cents * quantity / 100:.2f}"]
            writer.writerow([*row, draw.choice(STATUSES)])


def employees() -> list[dict[str, Any]]:
    draw = random.Random(7)
    first = "Amara Bo Chen Dina Elif Farid Greta Hugo Ines Jonas Kemi Lars Mina Noor Olga".split()
    last = "Okafor Lindqvist Wei Haddad Kaya Rossi Weber Moreau Silva Novak".split()
    pay = {"Engineering": 68000, "Sales": 52000, "Support": 41000, "Finance": 57000}
    people: list[dict[str, Any]] = []
    for number in range(1, 61):
        team = draw.choice(list(pay))
        people.append(
            {
                "id": number,
                "name": f"{first[(number * 7) % 15]} {last[(number * 3 + number // 15) % 10]}",
                "department": team,
                "city": draw.choice(("Berlin", "Lyon", "Porto")),
                "salary": pay[team] + 500 * draw.randint(-12, 24),
                "hired": str(date(2014, 1, 1) + timedelta(draw.randrange(4200))),
                "remote": draw.random() < 0.4,
            }
        )
    (HERE / "employees.json").write_text(json.dumps(people, indent=1) + "\n")
    return people


def budget() -> None:
    from openpyxl import Workbook

    draw = random.Random(11)
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Budget"
    sheet.append(["team", "month", "planned", "spent"])
    for team in ("Marketing", "Product", "Operations"):
        for month in range(1, 13):
            planned = draw.randint(40, 90) * 100
            sheet.append(
                [team, f"2025-{month:02d}-01", planned, planned + draw.randint(-900, 1100)]
            )
    book.save(HERE / "budget.xlsx")


def weather() -> None:
    import duckdb

    draw = random.Random(5)
    with duckdb.connect() as database:
        database.execute(
            "create table w (day date, station text, temperature double, rain double, wind integer)"
        )
        rows = []
        for station, base in (("Harbour", 11), ("Hill", 7), ("Airport", 9)):
            for n in range(181):
                warm = base + n * 0.07 + draw.gauss(0, 2.5)
                rain = max(0.0, draw.gauss(-1, 5))
                day = date(2025, 1, 1) + timedelta(n)
                rows.append([day, station, round(warm, 1), round(rain, 1), draw.randint(0, 60)])
        database.executemany("insert into w values (?, ?, ?, ?, ?)", rows)
        database.execute(f"copy w to '{HERE / 'weather.parquet'}' (format parquet)")


def reviews(snippets: Path, ratings: Path) -> None:
    draw = random.Random(42)
    found = [json.loads(line) for line in snippets.read_text("utf-8").splitlines()]
    chosen: list[tuple[str, dict[str, Any]]] = []
    for product, documents in DOCUMENTS.items():
        usable = [
            r
            for r in found
            if int(r["id"].split("_")[0]) in documents and 30 <= len(r["text"]) <= 220
        ]
        chosen += [(product, r) for r in draw.sample(usable, 32)]
    draw.shuffle(chosen)
    with (HERE / "reviews.csv").open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(
            [("id", "product", "text")] + [(r["id"], p, r["text"]) for p, r in chosen]
        )
    with ratings.open("w", newline="") as out:
        csv.writer(out).writerows([("id", "rating")] + [(r["id"], r["rating"]) for _, r in chosen])


if __name__ == "__main__":
    if sys.argv[1:2] == ["reviews"]:
        reviews(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        sales()
        employees()
        budget()
        weather()
