"""Words that point to a built-in capability.

Retrieval over descriptions and examples serves any catalog; for the capabilities that ship, these cues
sharpen it, because in one short clause "how many days" and "how many words" are nearly the same vector.
A cue counts only when its capability is in the catalog.
"""

import re
from collections.abc import Mapping

_CUES: dict[str, tuple[tuple[float, str], ...]] = {
    "text.sentiment": (
        (1.0, r"\bsentiments?\b|\bpolarity\b|\btone of (?:each|every|the)"),
        (0.8, r"\b(?:positive|negative|neutral)\b|\bhow (?:do|did|are|were) .{0,40}\bfeel"),
    ),
    "text.emotion": (
        (1.0, r"\bemotions?\b|\bemotional\b|\bmoods?\b"),
        (0.6, r"\b(?:anger|joy|sadness|fear|disgust|surprise)\b"),
    ),
    "text.topics": (
        (1.0, r"\b(?:topics?|themes?|subjects? discussed)\b(?! sentence)|\bclusters?\b|\bgroup\b.{0,30}\b(?:meaning|similar|content)"),
        (0.9, r"\b(?:main|top|biggest|common|frequent|major|most|key|usual|recurring|typical)\b.{0,20}\b(?:complaints?|issues?|problems?|concerns?|pain points?|gripes?|reasons?|requests?)\b"),
        (0.9, r"\bwhat (?:do|are|did) .{0,40}\b(?:complain\w*|moan\w*|talk\w*|say\w*|writ\w+|grip\w+|mention\w*|unhappy) about\b|\bwhat .{0,40}\babout\b.{0,12}\b(?:most|mostly|overall)\b"),
    ),
    "text.summarize": ((1.0, r"\bsummar(?:y|ies|ise|ize|ising|izing|ised|ized|iz|is)\w*\b(?! stat)|\btl;?dr\b|\bgist\b|\bin a nutshell\b|\bcondense\b|\bboil .{0,20}down\b|\babstract of\b|\bshorten\b|\b(?:key|main) (?:points|takeaways|messages?|ideas?)\b|\bsynopsis\b|\bin (?:brief|short)\b|\bsum (?:it |this |them )?up\b|\bwhat'?s? (?:is )?.{0,30}\b(?:saying|all about)\b"),),
    "text.key_phrases": ((1.0, r"\bkey ?(?:phrases?|words?|terms?)\b|\b(?:important|salient|telling|characteristic) (?:terms?|phrases?|words?|expressions?)\b"),),
    "text.entities": (
        (1.0, r"\b(?:named )?entit(?:y|ies)\b"),
        (0.9, r"\b(?:names?|dates?|amounts?|people|persons?|compan(?:y|ies)|organi[sz]ations?|places?|locations?|cities|countries|e-?mails?(?: address\w*)?|phone numbers?|telephone numbers?|urls?|links|sums? of money|monetary \w+|prices?|percentages?)\b.{0,50}\b(?:in|from|of|appear\w*|occur\w*|mentioned|named|found|listed|within|inside)\b"),
        (0.9, r"\b(?:who|which (?:people|persons?|compan\w+|organi[sz]ations?|places?|cities|countries|locations?|names?|dates?))\b.{0,20}\b(?:is|are|were|was|get|gets)?\s*(?:mentioned|named|involved|listed|referred)\b"),
        (0.8, r"\b(?:extract|pull out|find|list|get|give|show|what|which)\b.{0,25}\b(?:all |every |any )?(?:the )?(?:names?|dates|e-?mails?(?: address\w*)?|phone numbers?|people|companies|organi[sz]ations|places|locations|urls|money amounts|amounts)\b"),
    ),
    "text.answer": ((1.0, r"\baccording to\b|\bwhat does .{1,60}\b(?:say|state|specify|mention|require)\b|\bdoes .{1,40}\b(?:say|mention|state|allow|require)\b|\banswer (?:the|this|my) question\b"),),
    "text.search": (
        (1.0, r"\b(?:semantic(?:ally)?|by meaning)\b"),
        (0.95, r"\bsearch\b|\blook (?:for|up)\b|\bwhich (?:files?|documents?|notes?|docs?|pages?|articles?|passages?)\b.{0,30}\b(?:about|mention\w*|talk\w*|discuss\w*|cover\w*|deal\w*|say\w*|describe\w*)\b"),
        (0.9, r"\b(?:passages?|paragraphs?|sections?|documents?|notes?|files?|parts?|articles?|anything|something|everything|texts?)\b.{0,20}\b(?:about|on|regarding|related to|concerning|similar to|that (?:talks?|mentions?|discuss\w*|deals?))\b"),
    ),
    "text.duplicates": ((1.0, r"\b(?:near|fuzzy|almost|similar|semantic|close|approximate)[- ]*(?:exact )?(?:duplicat\w+|dupes?|identical)\b|\b(?:say|saying|mean|ask\w*|report\w*|describ\w*)\b.{0,20}\b(?:same|similar) (?:thing|issue|question|problem)|\b(?:very|too|nearly|almost) (?:similar|the same|alike|identical)\b|\bparaphras\w*|\bsimilar (?:reviews?|tickets?|questions?|messages?|texts?|comments?|entries)\b|\breworded\b|\bsame .{0,20}\bdifferent(?:ly)? word"),),
    "table.duplicates": ((0.9, r"\b(?:exact(?:ly)?|identical|repeated|same|full)\b.{0,15}\b(?:duplicat\w+|dupes?|rows?|records?|lines?|entries)\b|\bduplicat(?:e|ed|es) (?:rows?|records?|entries|lines?|customers?|orders?)\b|\b(?:duplicat\w+|dupes?|occur more than once|appear (?:more than once|twice|several times))\b"),),
    "text.classify": ((1.0, r"\b(?:label|classify|categori[sz]e|tag|assign|sort|mark|bucket|triage|route|split|divide|put)\b.{0,50}\b(?:as|into|to be|under|by whether|either|between)\b|\bclassif\w+|\bcategori[sz]e\b"),),
    "text.filter": ((0.6, r"\b(?:tickets?|reviews?|messages?|comments?|mails?|e-?mails?|posts?|tweets?|feedback|responses?|answers?|entries|ones|those|them|texts?|sentences|lines|items|questions?)\b.{0,30}\b(?:about|regarding|concerning|related to|mention\w*|complain\w*|describ\w*|talk\w*|ask\w*|sound\w*)\b"),),
    "text.word_frequency": ((1.0, r"\b(?:most|top|commonest|frequent|common|used|least)\b.{0,25}\bwords?\b|\bword frequenc\w+|\bwords? .{0,20}\bmost often\b|\bfrequency of (?:the )?words?\b|\bfrequently used words?\b"),),
    "text.count": ((1.0, r"\b(?:how many|number of|count)\b.{0,25}\b(?:words?|characters?|letters?|lines?|sentences?|paragraphs?)\b(?! (?:contain|with|that|match|start|mention))|\bword ?count\b|\b(?:line|character|sentence) count\b|\bhow (?:often|many times|frequently)\b|\boccurrences?\b|\bhow long is (?:this|the) (?:text|document|file)\b"),),
    "text.replace": ((1.0, r"\breplac\w+\b|\bsubstitut\w+\b|\bswap\b|\bfind and replace\b|\b(?:change|turn) (?:every|each|all|the word|\"|'|“|occurrences?)\b"),),
    "text.change_case": ((1.0, r"\b(?:upper|lower|title|sentence)[- ]?case\b|\b(?:uppercase|lowercase|capital letters|capitali[sz]e\w*|all caps|caps)\b|\b(?:small|lower|upper) letters\b"),),
    "text.find": ((1.0, r"\blines?\b.{0,30}\b(?:contain\w*|with|match\w*|includ\w+|that (?:have|mention|start|end)|start\w*|end\w*|where)\b|\bgrep\b|\bregex\w*\b|\bregular expression\b|\bwhere (?:does|do) .{1,40}\b(?:occur|appear)\b"),),
    "text.sort_lines": ((1.0, r"\b(?:sort|alphabeti[sz]e|order)\b.{0,25}\b(?:lines?|alphabetical\w*|names|list|a[- ]?(?:to|-)[- ]?z)\b|\balphabeti[sz]e\b"),),
    "text.embed": ((1.0, r"\bembed(?:ding)?s?\b|\bvectors? (?:of|for)\b"),),
    "http.get": ((1.0, r"https?://"),),
    "math.calculate": ((0.8, r"\d\s*[-+*/×÷^%]\s*\d|\b(?:calculate|compute|times|multiplied|multiply|divided?|divide|plus|minus|squared?|cubed|square root|percent of|% of|add|subtract)\b.{0,40}\d|\d.{0,10}\b(?:times|plus|minus|divided|multiplied|squared)\b"),),
    "units.convert": ((0.9, r"\bconver(?:t|sion|ted|ting)\b.{0,40}\b(?:to|into|in)\b|\bhow many \w+ (?:are |is )?(?:there )?in (?:a|an|one|\d)|\d\s*\w+ (?:in|to|as|into) (?:\w+)$"),),
    "date.difference": ((0.9, r"\bhow (?:many|long)\b.{0,30}\b(?:days?|weeks?|months?|years?|hours?|workdays?)\b.{0,30}\b(?:between|until|till|since|from|before|to|left|passed|ago)\b|\b(?:days?|weeks?|months?|years?) (?:between|until|till|since|from)\b|\bhow old\b"),),
    "date.shift": ((0.9, r"\b\d+ (?:\w+ )?(?:days?|weeks?|months?|years?|workdays?) (?:from|after|before|later|ago|earlier|prior|past|on from)\b|\b(?:add|subtract) \d+ (?:days?|weeks?|months?|years?)\b|\bin \d+ (?:days?|weeks?|months?)\b"),),
    "date.describe": ((0.9, r"\b(?:what|which) (?:day of the week|weekday|week(?: number)?|quarter|day)\b.{0,20}\b(?:is|was|will|does|did|fall\w*)\b|\bleap year\b|\bday of the year\b"),),
    "table.correlate": ((1.0, r"\bcorrelat\w*|\b(?:related|relationship|relation|link|association|connection)\b.{0,30}\b(?:between|to|with)\b|\bdepends? on\b|\bgo (?:hand in hand|together)\b"),),
    "table.outliers": ((1.0, r"\boutliers?\b|\banomal\w+|\b(?:unusual\w*|abnormal\w*|weird|strange|extreme|suspicious\w*|odd|atypical)\b.{0,30}"),),
    "table.describe": ((1.0, r"\bdescri(?:be|ptive|ption)\b|\bsummary statistics\b|\bprofile\b|\bstatistics\b|\bstats\b|\b(?:missing|null|empty|blank) (?:values?|cells?|data|entries|fields?)\b|\b(?:values?|cells?|data) (?:are|is) missing\b|\bwhat(?:'s| is) in\b|\boverview\b|\bcolumns? (?:are|does|do|is)\b|\b(?:which|what) columns\b|\bdata types?\b"),),
    "table.join": ((1.0, r"\bjoin\w*\b|\bmerg\w+\b|\bcombin\w+\b|\bmatch\b.{0,30}\b(?:with|to)\b|\benrich\b|\blook ?up\b.{0,30}\bfrom\b"),),
    "table.sql": ((1.0, r"\bselect\b.{1,300}\bfrom\b\s+\w+"),),
    "table.export": ((1.0, r"\b(?:save|export|download|write|store|convert|turn|output|give|return|put|dump)\b.{0,60}\b(?:as|to|into|in)\b.{0,15}\b(?:xlsx|csv|json|parquet|excel|spreadsheet|file)\b"),),
    "chart.draw": ((1.0, r"\b(?:plot|chart|graph|histogram|visuali[sz]\w+|scatter\w*|diagram|draw|bar chart|trend line)\b|\bpies?(?: chart)?\b(?= (?:of|with|for|showing|by|per|chart|graph)\b)|\b(?:as|in|into) (?:a )?pie\b"),),
}  # fmt: skip

CUES: Mapping[str, tuple[tuple[float, re.Pattern[str]], ...]] = {
    name: tuple((weight, re.compile(pattern, re.IGNORECASE)) for weight, pattern in patterns)
    for name, patterns in _CUES.items()
}

UNCUED = frozenset(
    "table.read text.read table.filter table.sort table.select table.aggregate".split()
)
"""Capabilities of ours that no words point to: questions to tables come to them, and files."""


def built_in(name: str) -> bool:
    """Whether a capability is one that ships, and is planned for by more than its description."""
    return name in CUES or name in UNCUED


def cue(name: str, text: str) -> float:
    """How strongly the words of a text point to a capability, 0..1."""
    return max((w for w, pattern in CUES.get(name, ()) if pattern.search(text)), default=0.0)
