"""RESTAURANTS-8K and the NLU evaluation data as texts with marked spans, and their slots in words."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointsman.router.planning.arguments.spans import Slot

__all__ = ["Marked", "nlu_home", "nlu_slots", "restaurant8k", "restaurant_slots"]

BOOKING = {
    "date": "the day of the booking",
    "time": "the hour of the booking",
    "people": "how many guests come",
    "first_name": "given name of the guest",
    "last_name": "family name of the guest",
}
HOME = {
    "alarm_type": "kind of alarm",
    "app_name": "name of an application",
    "artist_name": "musician or band",
    "audiobook_author": "writer of a book to listen to",
    "audiobook_name": "title of a book to listen to",
    "business_name": "name of a shop, restaurant or company",
    "business_type": "kind of shop or business",
    "change_amount": "by how much something is to be changed",
    "coffee_type": "kind of coffee",
    "color_type": "a colour of light",
    "cooking_type": "a way of preparing food",
    "currency_name": "name of a currency",
    "date": "a day or span of days",
    "definition_word": "the word or thing to be explained",
    "device_type": "a household device",
    "drink_type": "kind of drink",
    "email_address": "address for electronic mail",
    "email_folder": "folder of a mailbox",
    "event_name": "what a calendar entry or reminder is about",
    "food_type": "food, a dish or a cuisine",
    "game_name": "name of a game",
    "game_type": "kind of game",
    "general_frequency": "how often something repeats",
    "house_place": "a room or part of the house",
    "ingredient": "something that goes into a dish",
    "joke_type": "what kind of joke, or what it is about",
    "list_name": "name of a list",
    "meal_type": "a meal of the day",
    "media_type": "a medium, news source or network",
    "movie_name": "title of a film",
    "movie_type": "kind of film",
    "music_descriptor": "what the music is like or for",
    "music_genre": "style of music",
    "news_topic": "what the news is about",
    "order_type": "how the food is handed over",
    "person": "name of a person",
    "personal_info": "a detail of a contact, such as the phone number",
    "place_name": "a city, country or other place",
    "player_setting": "a setting or command of the player",
    "playlist_name": "name of a list of songs",
    "podcast_descriptor": "which episode or kind of podcast",
    "podcast_name": "title of a podcast",
    "radio_name": "name or frequency of a radio station",
    "relation": "how a person is related to the speaker",
    "song_name": "title of a song",
    "time": "a time of the clock or a duration",
    "timeofday": "a part of the day",
    "time_zone": "a time zone",
    "transport_agency": "a company that carries people",
    "transport_descriptor": "what the transport is like",
    "transport_name": "name of a train or line",
    "transport_type": "a means of transport",
    "weather_descriptor": "rain, sunshine or another state of the weather",
}


@dataclass(frozen=True, slots=True)
class Marked:
    """A text, the spans in it (start, end, slot) in characters, and the slots that were asked for before it."""

    text: str
    spans: tuple[tuple[int, int, str], ...]
    asked: frozenset[str] = frozenset()


def restaurant8k(path: Path) -> list[Marked]:
    """Reads `train.json` (a list) or `test.jsonl` (a line each). Raises OSError, ValueError or KeyError."""
    text = path.read_text(encoding="utf-8")
    rows: list[dict[str, Any]]
    rows = (
        json.loads(text) if path.suffix == ".json" else [json.loads(x) for x in text.splitlines()]
    )
    made: list[Marked] = []
    for row in rows:
        spans = tuple(
            (
                int(s["valueSpan"].get("startIndex", 0)),
                int(s["valueSpan"]["endIndex"]),
                str(s["slot"]),
            )
            for s in row.get("labels", ())
        )
        asked = frozenset(row.get("context", {}).get("requestedSlots", ()))
        made.append(Marked(row["userInput"]["text"], spans, asked))
    return made


def nlu_home(path: Path) -> list[Marked]:
    """Reads `train.jsonl` or `test.jsonl`. Raises OSError, ValueError or KeyError."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Marked(r["text"], tuple((e["start"], e["end"], e["entity"]) for e in r["entities"]))
        for r in rows
    ]


def restaurant_slots() -> list[Slot]:
    return [Slot(name, told) for name, told in BOOKING.items()]


def nlu_slots(marked: Sequence[Marked]) -> list[Slot]:
    """The slots that occur, by name."""
    return [Slot(n, HOME.get(n, "")) for n in sorted({s for m in marked for _, _, s in m.spans})]
