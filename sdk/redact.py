"""Removes credentials from text: the one function that every message, log line and event passes before it leaves.

It rather hides too much than too little: what a text means is not known here.
"""

from __future__ import annotations

import re

HIDDEN = "…"
MOST_CHARACTERS = 8000
# Names of values that are secret wherever they stand: in a pipeline, a path or a query.
_NAME = r"[\w-]{0,40}(?:pass|pwd|pw|token|secret|api[-_]?key|access[-_]?key|credential|auth)[\w-]{0,40}?"
_QUOTED = r"\"[^\"]*\"|'[^']*'"
# user_password=x_channel=1 is one path of common cameras: the next name ends the value as well as a separator does.
_NAMED = re.compile(rf"(?i)(?<![A-Za-z])({_NAME})(\s*=\s*)(?!{HIDDEN})({_QUOTED}|[^\s&;]+?(?=_[a-z]+=|[\s&;]|$))")
# After "authorization" everything of the credential goes. Without it, what follows the name of a scheme must look like
# a credential: "basic settings" and "no digest covers" are prose.
_PARAMETERS = rf"[\w-]+\s*=\s*(?:{_QUOTED}|[^\s,;]+)(?:\s*,\s*[\w-]+\s*=\s*(?:{_QUOTED}|[^\s,;]+))*"
_HEADER = re.compile(
    rf"(?i)\b(authorization\s*[:=]\s*)(?:[a-z][\w-]*\s+)?(?:{_PARAMETERS}|{_QUOTED}|\S+)"
    rf"|\b((?:basic|bearer)\s+)(?:\S*(?-i:[A-Z0-9=_])\S*|\S{{16,}})"
    rf"|\b(digest\s+){_PARAMETERS}"
)
_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)(\S+)")
_BARE = re.compile(
    r"(?<![\w/…])([\w.%+-]{1,64}):(?!//)[^\s@…]{1,200}@(?=[\w\[])"
)  # user:password@host without a scheme
_PORT_AND_QUERY = re.compile(r"[^:@/?#]+:\d+/[^?#]*[?#]")  # here an @ belongs to the query
_QUERY_VALUE = re.compile(r"([?&;#][^=&;#?]*=)[^&;#]*?(?=['\"),.]*(?:[&;#]|$))")
_BARE_QUERY = re.compile(r"([?#])[^=&;#]+$")
_SEGMENT = re.compile(r"(?<=/)(?=[A-Za-z0-9_-]*\d)(?=[A-Za-z0-9_-]*[A-Za-z])[A-Za-z0-9_-]{16,}(?=/|$)")  # a token


def redact(text: str) -> str:
    """Line by line, and of a line no more than anybody reads: the patterns take long on very long lines."""
    return "\n".join(_redact_line(line[:MOST_CHARACTERS]) for line in text.split("\n"))


def _redact_line(text: str) -> str:
    text = _URL.sub(lambda match: match[1] + _rest(match[2]), text)
    text = _NAMED.sub(rf"\1\2{HIDDEN}", text)
    text = _HEADER.sub(lambda match: (match[1] or match[2] or match[3]) + HIDDEN, text)
    return _BARE.sub(rf"\1:{HIDDEN}@", text)


def _rest(rest: str) -> str:
    """What follows `scheme://`: the password may hold any character, also a slash, a question mark or an @."""
    colon, at = rest.find(":"), rest.rfind("@")
    head = ""
    if 0 <= colon < at and not _PORT_AND_QUERY.match(rest[:at]):
        head, rest = f"{rest[:colon]}:{HIDDEN}@", rest[at + 1 :]
    rest = _BARE_QUERY.sub(rf"\1{HIDDEN}", _QUERY_VALUE.sub(rf"\1{HIDDEN}", rest))
    return head + _SEGMENT.sub(HIDDEN, rest)
