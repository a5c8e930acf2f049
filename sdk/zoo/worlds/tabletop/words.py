"""Spoken text without a command: other words, near misses of commands, sentences."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from .signs import SIGNS

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER_WORDS = (
    *("hello", "yes", "no", "please", "water", "table", "seven", "window", "music", "morning", "shop", "step"),
    *("top", "so", "low", "lift", "ride", "light", "bright", "hollow", "fellow", "yellow", "church", "such"),
    *("surge", "robot", "camera", "kitchen", "green", "orange", "ball", "cube", "stock", "star", "gold", "ghost"),
    *("load", "rest", "last", "best", "fight", "wall", "fall", "full", "fuller", "per", "first", "nurse"),
    *("listen", "over", "under", "again", "maybe", "later", "never", "always", "open", "close", "turn", "wait"),
    *("faster", "slower", "backward", "forward", "quiet", "louder", "button", "finger", "seldom", "almost"),
    *("monday", "tuesday", "april", "purple", "circle", "banana", "tomato", "mountain", "number", "second"),
    *("one", "two", "three", "four", "five", "six", "eight", "nine", "ten", "twelve", "hundred", "thousand"),
    *("stamp", "stuff", "spot", "stone", "stand", "store", "story", "shock", "sock", "stay", "stairs", "steel"),
    *("toe", "grow", "though", "row", "know", "boat", "road", "gone", "get", "give", "good", "goal", "goat", "coat"),
    *("lead", "let", "less", "lot", "lost", "loft", "leave", "leaf", "lend", "lap", "lunch", "live", "lesson"),
    *("wide", "rice", "white", "wrong", "bring", "rain", "run", "rather", "round", "ready", "wipe", "wrap", "strike"),
    *("fly", "flower", "floor", "found", "phone", "foot", "father", "fallen", "solo", "volume", "valley", "borrow"),
    *("sun", "sir", "certain", "surf", "serve", "shirt", "short", "bird", "work", "word", "world", "earth"),
    *("early", "sister", "summer", "simple", "sugar", "chair", "change", "catch", "which", "march", "speech", "beach"),
    *("apple", "arm", "baby", "bottle", "bread", "bridge", "brother", "clock", "cloud", "dinner", "doctor", "engine"),
    *("evening", "flag", "fruit", "glass", "house", "island", "jacket", "key", "kind", "machine", "market", "mirror"),
    *("noise", "ocean", "people", "picture", "plate", "power", "question", "river", "school", "sound", "station"),
    *("street", "sunday", "telephone", "today", "together", "tree", "umbrella", "village", "voice", "weather", "zero"),
)
HELD_OUT_OTHER_WORDS = (
    *("drop", "snow", "night", "swallow", "perch", "desk", "hand", "coffee", "garden", "winter", "letter"),
    *("pocket", "spoke", "slope", "laugh", "ripe", "flow", "thirst", "paper"),
)
SENTENCES = (
    "the weather is quite nice today and we will walk to the park",
    "i would like a cup of tea with some milk and sugar",
    "she told him that the train would be late again this evening",
    "there are seven boxes on the upper shelf in the kitchen",
    "when the meeting ends we can have lunch near the river",
    "my brother plays the guitar in a small band on weekends",
    "numbers such as twelve and forty are easy to remember",
    "the children were singing a song about the sea",
    "nine of the letters came back because the street was wrong",
    "please close the window before it gets too cold in here",
    "the doctor said that two hours of sleep are not enough",
    "we never found the keys that fell behind the sofa",
    "his uncle repairs bicycles and old radios in the garage",
    "tomorrow the library opens at ten and closes at six",
    "a yellow taxi waited under the bridge for half an hour",
    "they planted potatoes and onions along the garden wall",
)
HELD_OUT_SENTENCES = (
    "an old man bought fresh bread and apples at the market",
    "we painted the fence white before the summer holidays",
    "her computer needs a new battery and a better screen",
    "nobody knew why the lights were on in the empty house",
)
# Beginnings, middles and ends of the commands and of similar syllables: near misses, few of which are words.
_NEARLY = (
    ("sl sp sk sn sw t st f sh b", "o a i e u", "p ck b t ff m"),
    ("b d g k m n p r gr gl bl h z", "ow o ee ay oy oo ah", "n t l d"),
    ("l r w cl b d h m j", "e i a o u", "ft pt st ct ff lt nt fty"),
    ("r l k f m t br fl pr wh b", "i a ou oo ee", "de ke te se me le ghten ce"),
    ("f h w m s t j b v p", "o a e i u", "lly ller tto nnow lla rrow lling mmow llow"),
    ("s ch b l k t f m st th sh", "ur er ar or ee a i", "ch ge sh t th se k tchy"),
)
SOUND_ALIKE = ("rite", "serch", "surch")  # espeak-ng pronounces them like a command


def near_words() -> tuple[str, ...]:
    """A few thousand words that differ from a command by a sound or two, without held-out words and homophones."""
    kept_out = {*SIGNS, *HELD_OUT_OTHER_WORDS, *SOUND_ALIKE}
    return tuple(sorted(set(_composed()) - kept_out))


def _composed() -> Iterator[str]:
    for parts in _NEARLY:
        yield from ("".join(sounds) for sounds in product(*(part.split() for part in parts)))
