"""Scripts that the gateway's and the page's tests play."""

from stage import Script

from pointsman.router.events import Fault

ROWS = [
    [f"text {i:02d}", "negative" if i % 3 else "positive", round(i * 1.5, 1)] for i in range(40)
]
TABLE = {
    "kind": "table",
    "name": "reviews.csv",
    "columns": [
        {"name": "text", "type": "text"},
        {"name": "sentiment", "type": "text"},
        {"name": "score", "type": "number"},
    ],
    "rows": ROWS,
    "row_count": len(ROWS),
    "file": None,
}
TOPICS = {
    "kind": "table",
    "name": "topics",
    "columns": [
        {"name": "topic", "type": "text"},
        {"name": "count", "type": "integer"},
        {"name": "share", "type": "number"},
        {"name": "examples", "type": "text"},
    ],
    "rows": [
        ["battery life", 14, 35.0, "Battery died after two days."],
        ["broken on arrival", 9, 22.5, "It came with a cracked case."],
        ["sound quality", 7, 17.5, "The sound is tinny, and it hums."],
    ],
    "row_count": 3,
    "file": None,
}
TASKS = (
    {
        "id": "read",
        "capability": "table.read",
        "arguments": {"file": "reviews.csv"},
        "title": "Read reviews.csv",
    },
    {
        "id": "sentiment",
        "capability": "text.sentiment",
        "arguments": {"texts": {"$task": "read"}},
        "title": "Tell the sentiment of each review",
    },
    {
        "id": "phrases",
        "capability": "text.key_phrases",
        "arguments": {"texts": {"$task": "read"}},
        "title": "Find key phrases",
    },
    {
        "id": "negative",
        "capability": "table.filter",
        "arguments": {
            "table": {"$task": "sentiment"},
            "where": [{"column": "sentiment", "op": "eq", "value": "negative"}],
        },
        "title": "Keep the negative ones",
    },
    {
        "id": "topics",
        "capability": "text.topics",
        "arguments": {"texts": {"$task": "negative"}, "count": 3},
        "title": "Group by topic",
    },
    {
        "id": "chart",
        "capability": "chart.draw",
        "arguments": {"table": {"$task": "topics"}, "labels": {"$task": "phrases"}},
        "title": "Draw the counts",
    },
)
ANSWER = {
    "text": "**Complaints by topic**\n\n| topic | count |\n| --- | --- |\n| battery life | 14 |\n\n_3 topics in "
    "26 texts._\n\n**The negative reviews**\n\n| text | sentiment |\n| --- | --- |\n| text 01 | negative |\n\n… and 39 "
    "more rows.\n\nNot done: “send it to my boss”: there is no expert that sends mail.\n\nTaken for granted: “reviews” "
    "means the column “text” of reviews.csv.\n\n_How: Read reviews.csv (echo) → Group by topic (echo)._",
    "parts": [
        {
            "task": "topics",
            "title": "Complaints by topic",
            "kind": "table",
            "value": TOPICS,
            "note": "3 topics in 26 texts",
        },
        {
            "task": "negative",
            "title": "The negative reviews",
            "kind": "table",
            "value": TABLE,
            "note": "",
        },
    ],
    "unserved": ["“send it to my boss”: there is no expert that sends mail"],
    "assumptions": ["“reviews” means the column “text” of reviews.csv"],
    "steps": [
        {
            "task": t["id"],
            "title": t["title"],
            "capability": t["capability"],
            "status": "done",
            "expert": "echo",
            "reason": "best quality of 2 that are live",
            "seconds": 0.31,
            "note": "12 of 40 rows kept",
        }
        for t in TASKS
    ],
    "usage": {"cost": 1200, "calls": 6, "input_tokens": 7, "output_tokens": 5, "seconds": 1.9},
    "seconds": 2.1,
}
VALUES = {
    "read": TABLE,
    "sentiment": TABLE,
    "negative": TABLE,
    "topics": TOPICS,
    "phrases": ["battery", "sound"],
}
SCRIPTS = {
    "complaints": Script(TASKS, VALUES, answer=ANSWER, pace=0.5, answer_of=("topics", "negative")),
    "slowly": Script(TASKS, VALUES, answer=ANSWER, pace=5.0, answer_of=("topics",)),
    "breaks": Script(
        TASKS,
        VALUES,
        failing={"negative": "there is no column 'sentimant'; columns: text, sentiment, score"},
        answer={
            "text": "I could not finish this: there is no column `sentimant`.",
            "parts": [
                {
                    "task": "read",
                    "title": "What was read",
                    "kind": "table",
                    "value": TABLE,
                    "note": "",
                }
            ],
            "unserved": [],
            "assumptions": [],
            "steps": [],
            "usage": {},
            "seconds": 1.0,
        },
        pace=0.1,
        status="failed",
        error=Fault(
            "expert.bad-arguments", "task 'negative': there is no column 'sentimant'", "caller"
        ),
    ),
    "cannot": Script(
        answer={
            "text": "I cannot book flights. I could: read a table, calculate, find key phrases.",
            "parts": [],
        },
        status="refused",
    ),
    "grows": Script(
        deltas=("Half ", "and half"), answer={"text": "Half and half, done.", "parts": []}
    ),
    "calculate": Script(
        (
            {
                "id": "sum",
                "capability": "math.calculate",
                "arguments": {"expression": "6*7"},
                "title": "Calculate",
            },
        ),
        {"sum": {"kind": "quantity", "value": "42", "unit": None}},
        answer={
            "text": "6 × 7 = **42**",
            "parts": [
                {
                    "task": "sum",
                    "title": "Calculate",
                    "kind": "quantity",
                    "value": {"kind": "quantity", "value": "42", "unit": None},
                    "note": "",
                }
            ],
        },
    ),
}
