"""Conversion between units, exact: pint's definitions with decimal numbers.

The registry is made on first use and has three departures from pint's defaults: information is a
dimension of its own (so a gigabyte is no number), acre, rod, chain and furlong are built on the
international yard (an acre is 4046.8564224 square metres), and "month" and "year" are the mean Gregorian ones.
"""

import re
import threading
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from difflib import get_close_matches
from functools import lru_cache
from tokenize import TokenError
from typing import Any

from pointsman.experts.base import Done
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments
from pointsman.router.values import QUANTITY, Quantity

__all__ = ["TOOLS", "UNITS", "convert", "converted", "known_unit"]

_WORKING = Context(prec=60)
_SHOWN = Context(prec=28, rounding=ROUND_HALF_EVEN)
_LOCK = threading.Lock()
"""pint fills its caches while it converts; tools run in threads."""

_DEFINITIONS = (
    "bit = [information] = b",
    "acre = 4046.8564224 * meter ** 2",
    "year = 365.2425 * day = _ = yr = annum",
    "month = year / 12",
    "imperial_fluid_ounce = imperial_pint / 20",
    "light_year = 9460730472580800 * meter = ly = lightyear",
    "rod = 5.5 * yard",
    "chain = 22 * yard",
    "furlong = 220 * yard",
)
_WORDS = {
    "mpg": "mile / gallon",
    "mph": "mile / hour",
    "kph": "kilometer / hour",
    "kmh": "kilometer / hour",
    "fps": "foot / second",
    "sqm": "meter ** 2",
    "sqft": "foot ** 2",
    "sqkm": "kilometer ** 2",
    "sqmi": "mile ** 2",
    "cc": "centimeter ** 3",
    "c": "degC",
    "f": "degF",
    "°c": "degC",
    "°f": "degF",
    "celsius": "degC",
    "centigrade": "degC",
    "fahrenheit": "degF",
    "k": "kelvin",
    "kelvins": "kelvin",
    "degree celsius": "degC",
    "degrees celsius": "degC",
    "degree fahrenheit": "degF",
    "degrees fahrenheit": "degF",
    "deg c": "degC",
    "deg f": "degF",
    "lbs": "pound",
    "stones": "stone",
    "feet": "foot",
    "inches": "inch",
    '"': "inch",
    "'": "foot",
    "fl oz": "fluid_ounce",
    "floz": "fluid_ounce",
    "uk gallon": "imperial_gallon",
    "us gallon": "gallon",
    "uk pint": "imperial_pint",
    "us pint": "pint",
    "uk fluid ounce": "imperial_fluid_ounce",
    "us fluid ounce": "fluid_ounce",
    "us cup": "cup",
    "metric cup": "metric_cup",
    "metric ton": "metric_ton",
    "short ton": "ton",
    "long ton": "long_ton",
    "ton of refrigeration": "ton_of_refrigeration",
    "hr": "hour",
    "hrs": "hour",
    "sec": "second",
    "secs": "second",
    "min": "minute",
    "mins": "minute",
    "mo": "month",
    "wk": "week",
    "wks": "week",
    "yrs": "year",
    "kb": "kilobyte",
    "mb": "megabyte",
    "gb": "gigabyte",
    "tb": "terabyte",
    "pb": "petabyte",
    "kib": "kibibyte",
    "mib": "mebibyte",
    "gib": "gibibyte",
    "tib": "tebibyte",
    "kbps": "kilobit / second",
    "mbps": "megabit / second",
    "gbps": "gigabit / second",
    "kcal": "kilocalorie",
    "food calorie": "kilocalorie",
    "hp": "horsepower",
    "micron": "micrometer",
}
"""Spellings that pint does not read, or reads as something people do not mean ("mb", "c", "k")."""
_PLAIN_NAMES = {"degree_Celsius": "degrees Celsius", "degree_Fahrenheit": "degrees Fahrenheit"}
_POWERS = {"square": 2, "sq": 2, "sq.": 2, "cubic": 3, "cu": 3, "cu.": 3}
_SUPERSCRIPTS = str.maketrans({"²": "^2", "³": "^3", "⁻": "-", "¹": "1", "µ": "u", "μ": "u"})
_UNIT = re.compile(
    r"(?:(?P<power>square|sq\.?|cubic|cu\.?)[\s-]+)?(?P<name>.*?)"
    r"(?:\s+(?P<word>squared|cubed)|\s*(?:\^|\*\*)\s*(?P<exponent>-?\d)|(?<=[a-zA-Z])(?P<digit>[23]))?"
)


MOST_SCALED = 1_000
"""Units with a number in them that one worker keeps; a registry forgets none."""
_SCALED: set[str] = set()


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint

    with localcontext(_WORKING):
        decimals: Any = Decimal  # pint types it as a float
        registry: Any = pint.UnitRegistry(non_int_type=decimals, on_redefinition="ignore")
        for definition in _DEFINITIONS:
            registry.define(definition)
        registry._build_cache()
    return registry


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """Names of units by their lower-case form, for reading any case and for suggestions."""
    names = {
        str(n).lower().replace("_", " "): str(n) for n in _registry()._units if len(str(n)) > 2
    }
    return names | {w: w for w in _WORDS if len(w) > 2}


def known_unit(text: str) -> str | None:
    """The canonical spelling of a unit as people write it, or None when it is none.

    >>> known_unit("sq ft")
    'foot ** 2'
    """
    try:
        with _LOCK, localcontext(_WORKING):
            return str(_parsed(text).units)
    except BadArguments:
        return None


def converted(value: Decimal, source: str, target: str) -> Decimal:
    """The value in another unit, to 28 significant digits. Raises BadArguments."""
    import pint

    if not value.is_finite() or abs(value.adjusted()) > 1_000:
        raise BadArguments(f"{value} is not a number that can be converted")
    with _LOCK, localcontext(_WORKING):
        one, other = _parsed(source), _parsed(target)
        try:
            if _inverted(one, other):
                result = (1 / _registry().Quantity(value, one.units)).to(other.units).magnitude
            else:
                result = _registry().Quantity(value, one.units).to(other.units).magnitude
        except pint.DimensionalityError as error:
            raise BadArguments(
                f"{source!r} is a unit of {_dimension(one)} and {target!r} of {_dimension(other)}; "
                "one cannot be converted to the other"
            ) from error
        except (ArithmeticError, ValueError) as error:
            raise BadArguments(f"{value} {source} has no value in {target}") from error
    return _clean(Decimal(str(result)))


def _inverted(one: Any, other: Any) -> bool:
    """Fuel economy: distance per volume against volume per distance (litres per 100 km)."""
    consumption = {"[length]": 2}
    economy = {"[length]": -2}
    pair = dict(one.dimensionality), dict(other.dimensionality)
    compound = len(one.units._units) > 1 or len(other.units._units) > 1
    return compound and pair in ((economy, consumption), (consumption, economy))


def _clean(value: Decimal) -> Decimal:
    rounded = _SHOWN.normalize(_SHOWN.plus(value))
    return Decimal(int(rounded)) if rounded == rounded.to_integral_value() else rounded


def _parsed(text: str) -> Any:
    """A unit as a pint quantity of one. Raises BadArguments with the nearest known unit."""
    if len(text) > 100 or not text.strip():
        raise BadArguments(f"{text[:40]!r} is not a unit; write one such as 'km', 'square metres'")
    cleaned = " ".join(text.translate(_SUPERSCRIPTS).split()).strip(". ")
    top, *below = re.split(r"\s*(?:/|\bper\b)\s*", cleaned, flags=re.IGNORECASE)
    registry = _registry()
    result = _single(top, text)
    for part in below:
        number = re.match(r"(\d{1,6})\s*(?=\D)", part)
        unit = _single(part[number.end() :] if number else part, text)
        scale = Decimal(number[1]) if number else Decimal(1)
        result = registry.Quantity(Decimal(1), registry.Unit(result.units / unit.units)) * (
            result.magnitude / unit.magnitude / (scale or 1)
        )
    if result.magnitude != 1:
        result = _scaled(result)
    return result


def _scaled(quantity: Any) -> Any:
    """A unit with a number in it ("litres per 100 km") as a unit of its own."""
    registry = _registry()
    name = f"scaled_{abs(hash((str(quantity.magnitude), str(quantity.units))))}"
    if name not in registry._units:
        if len(_SCALED) >= MOST_SCALED:
            raise BadArguments(
                f"{quantity.units} in steps of that size is not a unit that is known"
            )
        _SCALED.add(name)
        registry.define(f"{name} = {quantity.magnitude} * {quantity.units}")
    return registry.Quantity(Decimal(1), name)


def _single(text: str, whole: str) -> Any:
    match = _UNIT.fullmatch(text.strip())
    if match is None or not match["name"].strip():
        raise _unknown(whole)
    factor: Any = _named(match["name"].strip(), whole)
    power = _POWERS.get((match["power"] or "").lower(), 1)
    if match["word"]:
        power = 2 if match["word"].lower() == "squared" else 3
    digit = match["exponent"] or match["digit"]
    return factor ** (int(digit) if digit else power)


def _named(name: str, whole: str) -> Any:
    """The first reading of a name that pint knows: as written, in lower case, in the singular."""
    registry = _registry()
    if re.search(r"\d", name) or not re.fullmatch(r"[\w°%'\" -]+", name):
        raise _unknown(whole)
    for reading in _readings(name):
        try:
            unit = registry.parse_units(reading)
        # pint asserts where its parser meets what it does not know (a lone "¼")
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError, TokenError):
            continue
        if str(unit) != "dimensionless":
            return registry.Quantity(Decimal(1), unit)
    raise _unknown(whole)


def _readings(name: str) -> Iterable[str]:
    lower = " ".join(re.sub(r"[-_]", " ", name.lower()).split())
    singular = lower.removesuffix("s") if len(lower) > 3 else lower
    for word in (lower, singular):
        if word in _WORDS:
            yield _WORDS[word]
    joined = name.replace(" ", "_").replace("-", "_")
    yield joined
    for word in (lower, singular):
        yield word.replace(" ", "_")
        if word in _names():
            yield _names()[word]


def _unknown(text: str) -> BadArguments:
    close = get_close_matches(text.lower().strip(), _names(), n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
    return BadArguments(f"{text[:60]!r} is not a unit that is known{hint}")


_DIMENSIONS = {
    "[length]": "length",
    "[length] ** 2": "area",
    "[length] ** 3": "volume",
    "[mass]": "mass",
    "[time]": "time",
    "[temperature]": "temperature",
    "[information]": "information",
    "[length] / [time]": "speed",
    "[information] / [time]": "data rate",
    "[length] / [time] ** 2": "acceleration",
    "[length] ** 2 * [mass] / [time] ** 2": "energy",
    "[length] ** 2 * [mass] / [time] ** 3": "power",
    "[length] * [mass] / [time] ** 2": "force",
    "[mass] / [length] / [time] ** 2": "pressure",
    "1 / [time]": "frequency",
    "dimensionless": "angle or ratio",
}


@lru_cache(maxsize=1)
def _dimensions() -> dict[Any, str]:
    units = {
        "joule": "energy",
        "watt": "power",
        "newton": "force",
        "pascal": "pressure",
        "meter / second": "speed",
        "bit / second": "data rate",
    }
    return {_registry().parse_units(u).dimensionality: name for u, name in units.items()}


def _dimension(quantity: Any) -> str:
    dimensionality = quantity.dimensionality
    if dimensionality in _dimensions():
        return _dimensions()[dimensionality]
    return _DIMENSIONS.get(str(dimensionality), str(dimensionality))


def _readable(unit: str) -> str:
    """The unit as it was asked for, tidied: people get the spelling they used."""
    tidy = " ".join(unit.split())
    with _LOCK, localcontext(_WORKING):
        name = str(_parsed(unit).units)
    return _PLAIN_NAMES.get(name, tidy)


@capability(
    "units.convert",
    title="convert units",
    output=QUANTITY,
    examples=[
        "how many square metres are 3.5 acres",
        "convert 10 miles to kilometres",
        "what is 98.6 °F in Celsius",
        "72 kg in pounds",
        "5 ft in cm",
        "2 cups in millilitres",
        "how fast is 60 mph in km/h",
        "how many seconds are there in a week",
        "1.5 GB in MB",
        "turn 250 kcal into kilojoules",
        "30 miles per gallon in litres per 100 km",
        "express the area in hectares",
    ],
    composition=["the quantity may come from math.calculate or date.difference"],
    prior=Prior(quality=0.99, latency=0.01),
)
def convert(value: Quantity, to: str, from_unit: str | None = None) -> Done:
    """Converts an amount from one unit of measurement to another: length, area, volume, mass, temperature, speed, time, data, energy, pressure.

    Args:
        value: the amount, with its unit or without.
        to: the unit wanted, such as "km", "square metres", "°C".
        from_unit: the unit of the amount when it does not carry one.
    """
    source = from_unit or value.unit
    if source is None:
        raise BadArguments(f"{value.value} has no unit; say which unit it is in, such as '5 miles'")
    result = Quantity(converted(value.value, source, to), _readable(to))
    return Done(
        result.to_json(),
        f"{format(value.value, 'f')} {source} = {format(result.value, 'f')} {result.unit}",
    )


TOOLS = (convert,)
UNITS = ToolExpert("units", "Conversion between units of measurement", TOOLS)
