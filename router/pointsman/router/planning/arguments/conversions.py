"""Requests to convert a measure: how much, from which unit, to which unit."""

import re
from dataclasses import dataclass
from decimal import Decimal

from pointsman.router.planning.arguments.amounts import CURRENCIES, amounts


@dataclass(frozen=True, slots=True)
class Conversion:
    """value None: the earlier result is to be converted. Units are readable names, singular, as pint knows them
    or as they were written. A compound measure ("5 ft 11 in") is summed in its first unit.
    """

    value: Decimal | None
    from_unit: str | None
    to_unit: str
    span: tuple[int, int]


# name -> (how it is written, dimension, size in the dimension's base unit; temperatures have none).
_UNITS: dict[str, tuple[str, str, str]] = {
    "metre": ("m metre metres meter meters mtr", "length", "1"),
    "kilometre": ("km kms kilometre kilometres kilometer kilometers", "length", "1000"),
    "centimetre": ("cm centimetre centimetres centimeter centimeters", "length", "0.01"),
    "millimetre": ("mm millimetre millimetres millimeter millimeters", "length", "0.001"),
    "mile": ("mi mile miles", "length", "1609.344"),
    "nautical_mile": ("nmi nautical_mile nautical_miles", "length", "1852"),
    "yard": ("yd yds yard yards", "length", "0.9144"),
    "foot": ("ft foot feet '", "length", "0.3048"),
    "inch": ('in inch inches "', "length", "0.0254"),
    "light_year": ("ly light_year light_years", "length", "9460730472580800"),
    "gram": ("g gr gram grams gramme grammes", "mass", "1"),
    "kilogram": ("kg kgs kilo kilos kilogram kilograms", "mass", "1000"),
    "milligram": ("mg milligram milligrams", "mass", "0.001"),
    "tonne": ("t tonne tonnes metric_ton metric_tons", "mass", "1000000"),
    "ton": ("ton tons short_ton short_tons", "mass", "907184.74"),
    "pound": ("lb lbs pound pounds", "mass", "453.59237"),
    "ounce": ("oz ounce ounces", "mass", "28.349523125"),
    "stone": ("st stone stones", "mass", "6350.29318"),
    "second": ("s sec secs second seconds", "time", "1"),
    "minute": ("min mins minute minutes", "time", "60"),
    "hour": ("h hr hrs hour hours", "time", "3600"),
    "day": ("d day days", "time", "86400"),
    "week": ("wk wks week weeks", "time", "604800"),
    "month": ("month months", "time", "2629746"),
    "year": ("yr yrs year years", "time", "31557600"),
    "millisecond": ("ms millisecond milliseconds", "time", "0.001"),
    "litre": ("l litre litres liter liters", "volume", "1"),
    "millilitre": ("ml millilitre millilitres milliliter milliliters", "volume", "0.001"),
    "centilitre": ("cl centilitre centilitres centiliter centiliters", "volume", "0.01"),
    "gallon": ("gal gallon gallons us_gallon us_gallons", "volume", "3.785411784"),
    "imperial_gallon": ("imperial_gallon imperial_gallons", "volume", "4.54609"),
    "pint": ("pt pint pints", "volume", "0.473176473"),
    "quart": ("qt quart quarts", "volume", "0.946352946"),
    "cup": ("cup cups", "volume", "0.2365882365"),
    "tablespoon": ("tbsp tablespoon tablespoons", "volume", "0.01478676478125"),
    "teaspoon": ("tsp teaspoon teaspoons", "volume", "0.00492892159375"),
    "fluid_ounce": ("fl_oz fluid_ounce fluid_ounces", "volume", "0.0295735295625"),
    "cubic metre": ("m3 m³ cubic_metre cubic_metres cubic_meter cubic_meters", "volume", "1000"),
    "cubic foot": ("ft3 cubic_foot cubic_feet", "volume", "28.316846592"),
    "square metre": ("m2 m² sqm sq_m square_metre square_metres square_meter square_meters sq_meters sq_metres", "area", "1"),
    "square kilometre": ("km2 km² square_kilometre square_kilometres square_kilometer square_kilometers sq_km", "area", "1000000"),
    "square foot": ("sqft sq_ft ft2 ft² square_foot square_feet", "area", "0.09290304"),
    "square mile": ("square_mile square_miles sq_mi sq_miles", "area", "2589988.110336"),
    "square inch": ("square_inch square_inches sq_in", "area", "0.00064516"),
    "square yard": ("square_yard square_yards sq_yd", "area", "0.83612736"),
    "acre": ("ac acre acres", "area", "4046.8564224"),
    "hectare": ("ha hectare hectares", "area", "10000"),
    "degree celsius": ("c °c ℃ celsius centigrade degree_celsius degrees_celsius degrees_c deg_c", "temperature", ""),
    "degree fahrenheit": ("f °f ℉ fahrenheit degree_fahrenheit degrees_fahrenheit degrees_f deg_f", "temperature", ""),
    "kelvin": ("k kelvin kelvins", "temperature", ""),
    "kilometre per hour": ("kmh km/h kph kilometres_per_hour kilometers_per_hour kilometer_per_hour km_per_hour", "speed", "1"),
    "mile per hour": ("mph miles_per_hour mile_per_hour mi/h", "speed", "1.609344"),
    "metre per second": ("m/s metres_per_second meters_per_second mps", "speed", "3.6"),
    "knot": ("kn knot knots", "speed", "1.852"),
    "byte": ("byte bytes", "storage", "1"),
    "bit": ("bit bits", "storage", "0.125"),
    "kilobyte": ("kb kilobyte kilobytes", "storage", "1000"),
    "megabyte": ("mb megabyte megabytes", "storage", "1000000"),
    "gigabyte": ("gb gigabyte gigabytes", "storage", "1000000000"),
    "terabyte": ("tb terabyte terabytes", "storage", "1000000000000"),
    "kibibyte": ("kib kibibyte kibibytes", "storage", "1024"),
    "mebibyte": ("mib mebibyte mebibytes", "storage", "1048576"),
    "gibibyte": ("gib gibibyte gibibytes", "storage", "1073741824"),
    "joule": ("j joule joules", "energy", "1"),
    "kilojoule": ("kj kilojoule kilojoules", "energy", "1000"),
    "calorie": ("cal calorie calories", "energy", "4.184"),
    "kilocalorie": ("kcal kilocalorie kilocalories", "energy", "4184"),
    "kilowatt hour": ("kwh kilowatt_hour kilowatt_hours", "energy", "3600000"),
    "watt": ("w watt watts", "power", "1"),
    "kilowatt": ("kw kilowatt kilowatts", "power", "1000"),
    "horsepower": ("hp horsepower", "power", "745.6998715822702"),
    "pascal": ("pa pascal pascals", "pressure", "1"),
    "hectopascal": ("hpa hectopascal hectopascals", "pressure", "100"),
    "bar": ("bar bars", "pressure", "100000"),
    "psi": ("psi", "pressure", "6894.757293168"),
    "atmosphere": ("atm atmosphere atmospheres", "pressure", "101325"),
    "degree": ("° deg degree degrees", "angle", "1"),
    "radian": ("rad radian radians", "angle", "57.29577951308232"),
}  # fmt: skip
_BY_WORD = {w.replace("_", " "): n for n, (words, _, _) in _UNITS.items() for w in words.split()}
_ALTERNATIVES = "|".join(
    re.escape(w).replace("\\ ", r"\s+") for w in sorted(_BY_WORD, key=len, reverse=True)
)
_UNIT = re.compile(rf"\s*-?(?P<unit>(?:{_ALTERNATIVES})(?![\w°²³])|['\"])", re.IGNORECASE)
_TO_WORD = re.compile(r"\b(?:in\s?to|to|in|as)\b", re.IGNORECASE)
_TO = re.compile(
    rf"\b(?:in\s?to|to|in|as)\s+(?:a\s+|an\s+|the\s+)?(?P<unit>{_ALTERNATIVES})(?![\w°²³])",
    re.IGNORECASE,
)
_HOW_MANY = re.compile(
    rf"\bhow\s+(?:many|much)\s+(?P<unit>{_ALTERNATIVES})(?![\w°²³])\s*(?:are|is|make\s+up|make|equals?|in|fit\s+in(?:to)?|does|do|=)\b\s*(?:there\s+)?(?:are\s+)?(?:in\s+)?(?:an?\b)?",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"(?:please|convert|change|turn|express|translate|what(?:'s|’s|\s+is|\s+are)?|how\s+(?:much|many)(?:\s+is|\s+are)?|is|are|equal|the|that|it|this|result|answer|"
    r"and|then|now|show|give|me|calculate|can|could|you|tell|equals?|be|would|of|a|an|there|in|exactly|previous|number|value|same|also|instead|i|mean|degrees?|[\s?.!,=:~])*",
    re.IGNORECASE,
)


def conversion(text: str) -> Conversion | None:
    """Reads a whole text as one conversion; None when it is something else, or about money."""
    if len(text) > 400:
        return None
    target = _target(text)
    if target is None:
        return None
    to_unit, to_span = target
    measures = _measures(text, to_span)
    if measures is None:
        return None
    left = text
    for start, end in sorted([to_span, *((m[2], m[3]) for m in measures)], reverse=True):
        left = left[:start] + " " + left[end:]
    if not _FILLER.fullmatch(left):
        return None
    if not measures:
        return Conversion(None, None, to_unit, to_span)
    summed = _summed(measures)
    if summed is None or not _same_dimension(summed[1], to_unit):
        return None
    span = (min(to_span[0], measures[0][2]), max(to_span[1], measures[-1][3]))
    return Conversion(summed[0], summed[1], to_unit, span)


def _target(text: str) -> tuple[str, tuple[int, int]] | None:
    """The unit wanted and its place: "how many km", "to square metres", "in miles"; the last one counts."""
    asked = _HOW_MANY.search(text)
    if asked is not None:
        return _BY_WORD[_key(asked["unit"])], asked.span()
    matches = [m for p in _TO_WORD.finditer(text) if (m := _TO.match(text, p.start())) is not None]
    if not matches:
        return None
    return _BY_WORD[_key(matches[-1]["unit"])], matches[-1].span()


def _key(written: str) -> str:
    return re.sub(r"\s+", " ", written.lower())


def _measures(text: str, to_span: tuple[int, int]) -> list[tuple[Decimal, str, int, int]] | None:
    """Numbers with their units outside the target; None when a number has no unit, or a currency."""
    found: list[tuple[Decimal, str, int, int]] = []
    for amount in amounts(text):
        if to_span[0] <= amount.start < to_span[1] and not text[
            to_span[0] : to_span[1]
        ].lower().startswith("how"):
            continue
        if amount.unit in CURRENCIES.values() or amount.unit == "%":
            return None
        unit = _UNIT.match(text, amount.end)
        if unit is None:
            return None
        found.append((amount.value, _BY_WORD[_key(unit["unit"])], amount.start, unit.end()))
    return found or _single(text, to_span)


def _single(text: str, to_span: tuple[int, int]) -> list[tuple[Decimal, str, int, int]]:
    """ "how many feet in a mile", "convert an acre to square metres"."""
    match = re.search(rf"\b(?:an?|one)\s+(?P<unit>{_ALTERNATIVES})(?![\w°²³])", text, re.IGNORECASE)
    if match is None:
        match = re.compile(rf"\s*(?P<unit>{_ALTERNATIVES})(?![\w°²³])", re.IGNORECASE).match(
            text, to_span[1]
        )
    if match is None or (match.start("unit") < to_span[0] + 1 and match.end() > to_span[0]):
        return []
    return [
        (
            Decimal(1),
            _BY_WORD[_key(match["unit"])],
            max(
                match.start(),
                to_span[1]
                if match.start() < to_span[1] and match.start() > to_span[0]
                else match.start(),
            ),
            match.end(),
        )
    ]


def _summed(measures: list[tuple[Decimal, str, int, int]]) -> tuple[Decimal, str] | None:
    value, first = measures[0][0], measures[0][1]
    for more, unit, _, _ in measures[1:]:
        if not _same_dimension(unit, first) or not _UNITS[first][2]:
            return None
        value += more * Decimal(_UNITS[unit][2]) / Decimal(_UNITS[first][2])
    return value, first


def _same_dimension(one: str, two: str) -> bool:
    return _UNITS[one][1] == _UNITS[two][1]
