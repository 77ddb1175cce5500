"""What a plain word of YAML is to kubectl, whose reader is Go's: `y` is true, 1:30 is text, 1e3 is a number. Pure.

PyYAML would read each of these three in another way. The table was taken from kubectl itself
(`kubectl annotate --local --filename=- --output=json`).
"""

import base64
import binascii
import math
import re
from typing import Any, Final

_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INTEGERS: Final = (
    (re.compile(r"[-+]?0[xX][0-9a-fA-F]{1,16}"), 16),
    (re.compile(r"[-+]?0[bB][01]{1,64}"), 2),
    (re.compile(r"[-+]?0[oO]?[0-7]{1,22}"), 8),
    (re.compile(r"[-+]?(0|[1-9][0-9]{0,19})"), 10),
)
_WHOLE: Final = 2.0**63  # above, a number is no int64, in which the API server keeps whole ones

TAG: Final = "tag:yaml.org,2002:"
_TAKES: Final = {
    f"{TAG}null": (f"{TAG}null",),
    f"{TAG}bool": (f"{TAG}bool",),
    f"{TAG}int": (f"{TAG}int",),
    f"{TAG}float": (f"{TAG}int", f"{TAG}float"),
}
"""Tag -> those of the words that it may stand before."""


def plain(text: str) -> Any:
    """The value of a word without quotes and tag."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    digits = text.replace("_", "")
    for written, base in _INTEGERS:
        if written.fullmatch(digits):
            whole = int(digits.lower().replace("0o", "0") if base == 8 else digits, base)
            if abs(whole) < _WHOLE:
                return whole
    if _FLOAT.fullmatch(digits) and math.isfinite(number := float(digits)):
        # as JSON, in which it is sent, 1.0 is 1
        return int(number) if number.is_integer() and abs(number) < _WHOLE else number
    return text


def tag(text: str) -> str:
    """The tag of a word without quotes and tag."""
    if text == "<<":
        return f"{TAG}merge"
    match plain(text):
        case None:
            return f"{TAG}null"
        case bool():
            return f"{TAG}bool"
        case int():
            return f"{TAG}int"
        case float():
            return f"{TAG}float"
        case _:
            return f"{TAG}str"


def value(tagged: str, text: str) -> Any:
    """The value of a text with this tag. Raises ValueError where kubectl would not take it, with the reason."""
    if tagged in (f"{TAG}str", f"{TAG}timestamp", f"{TAG}merge"):
        return _whole(text)
    if tagged == f"{TAG}binary":
        try:
            return base64.b64decode("".join(text.split()), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError("!!binary is no text in base64") from error
    if tagged in _TAKES and tag(text) not in _TAKES[tagged]:
        raise ValueError(f"!!{tagged.removeprefix(TAG)} can't be {shortened(text)}")
    found = plain(text)
    if isinstance(found, float) and not math.isfinite(found):
        raise ValueError(f"{text} is no number that JSON has, in which kubectl sends it")
    return _whole(found) if isinstance(found, str) else found  # a tag of somebody's own says nothing to kubectl


def key(tagged: str, text: str) -> str:
    """A key as it is sent. Raises ValueError."""
    match found := value(tagged, text):
        case None:
            raise ValueError("a key is empty, or null: write its name")
        case bool():
            return str(found).lower()
    return str(found)


def shortened(text: str) -> str:
    """A text that may be of any length, in quotes, as long as a line of a terminal has room for."""
    return f'"{text}"' if len(text) <= 60 else f'"{text[:57]}..."'


def _whole(text: str) -> str:
    """With the halves of signs put together as which JSON may write them (\\ud83d\\ude00)."""
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
