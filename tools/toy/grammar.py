"""The sentence forms of the controlled English that the toys read, as patterns over text that `plain` has prepared."""

import re

from symposia.tools.toy.words import NUMBER, VERB

SENTENCE = re.compile(r"(?<=[.?!;])(?<!Mr\.)(?<!Mrs\.)(?<!Dr\.)\s+")
JOIN = re.compile(
    rf",? (?:and then|then|and|but) (?=(?:(?:he|she|they|it|(?:the|each|an?|half of the|\d+) \w+|[A-Z]\w+) )?(?:{VERB})\b)|; "
)
CLAUSE = re.compile(rf"^(?P<subject>.*?)\b(?P<verb>{VERB})\b(?P<rest>.*)$")
OPENING = re.compile(
    rf"^(?P<opening>(?:on|in|at|after|before|during|by|from|then|later|next|first|finally|today|now)\b[^,\d]*), (?=.*\b(?:{VERB})\b)"
)
EACH_TIME = re.compile(r"^each (?P<unit>\w+),? (?P<clause>.+)$")
PRONOUN = frozenset(["he", "she", "it", "they", "him", "her", "them"])

N = rf"(?P<n>{NUMBER})"
_AFTER = "at for to from in on onto into per a an each with among between equally by of when as away back altogether left last this old"
_END = rf"(?= (?:{'|'.join(_AFTER.split())})\b|$|,)"  # where the name of an object ends
ITEM = rf"(?!equally|away|back)(?P<item>[a-z][a-z' -]*?){_END}"
TWO_STEP = re.compile(
    rf"^{N} (?P<more>more|fewer|less)(?: [a-z ]+?)? than (?P<m>{NUMBER}) times as (?:many|much)(?: (?P<item>[a-z' -]+?))? as (?P<other>.+)$"
)
TIMES = re.compile(
    rf"^{N} times as (?:many|much)(?: (?!as )(?P<item>[a-z' -]+?))?(?: (?P<label>(?:on|in) [a-z ]+?))?(?: as (?P<other>.+))?$"
)
MORE = re.compile(
    rf"^{N} (?P<item1>[a-z]+ )??(?P<more>more|fewer|less)(?: (?P<item>[a-z' -]+?))?(?: (?P<label>(?:on|in) [a-z ]+?))? than (?P<other>.+)$"
)
PART = re.compile(rf"^{N} of (?:what (?:is|was) left|(?P<item>[a-z][a-z' -]*?)){_END}")
ALL = re.compile(
    r"^(?:all(?: of)?|the rest(?: of)?|the remaining|the other|the|his|her|its|their|them|these)\b"
    rf"(?: (?:the|his|her|its|their|them))?(?: {ITEM})?"
)
BOXES = re.compile(rf"^{N} (?P<box>[a-z' -]+?) (?:of|with|that (?:each )?hold) (?P<m>{NUMBER}) {ITEM}")
PLAIN = re.compile(rf"^{N} (?:of )?{ITEM}")
PRICE = re.compile(rf"\b(?:at|for) (?P<n>{NUMBER}) (?P<money>\w+) (?:each|apiece|per \w+|an? \w+)\b")
SUM = re.compile(rf"\bfor (?P<n>{NUMBER}) (?P<money>dollars?|cents?|euros?|coins?)\b")
RATE = re.compile(r"^(?:of [a-z ]+ )?(?:per|an?|each) (?P<unit>[a-z]+)\b")
DURATION = re.compile(rf"\bfor (?:the )?(?:next |first |last )?(?P<n>{NUMBER}) (?P<unit>[a-z]+)\b")
TO_EACH = re.compile(rf"\bto (?:each of )?(?:his |her |the |their )?(?P<n>{NUMBER}) (?P<who>[a-z ]+)")
AMONG = re.compile(
    rf"\b(?:among|between|into|in|onto|on|over|to|by) (?:the |his |her |their )?(?P<n>{NUMBER}) (?:other |equal )?(?P<who>[a-z]+)"
)
BOXES_OF = re.compile(rf"\b(?:into|in|onto|on) (?P<box>[a-z ]+?) (?:of|with) {N}")
LABEL = re.compile(r"\b(?:on|in) (?:the )?[a-z]+(?: (?:day|week|month|round|class|tree|shelf))?\b")
QUESTION = re.compile(
    r"^how (?:many|much|far)(?: (?P<more>more|fewer|less))?(?: (?P<item>[a-z' -]*?))?"
    r" ?\b(?P<aux>does|do|did|are|is|was|were|will|can|has|have|had|must|should)\b(?P<tail>.*)$"
)
