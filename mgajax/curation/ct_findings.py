"""Findings that reports and captions of a CT name, by words (the paper's Fig. 4d).

The paper does not say how it counted. Here it is a list of words, below, and one rule of negation: a
word counts unless "no", "not", "without" or "absence of" stands up to four words before it in the
same sentence. Reports come from papers' captions with free spelling: "ground glass", "groundglass",
"GGO", "frosted glass" are one finding.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

WORDS: dict[str, str] = {
    "ground-glass opacity": r"gr(?:ound|ay)[^a-z]{0,3}gl?r?ass|ground\?glass|\bggos?\b|frosted[ -]glass",
    "bilateral": r"bilateral|\bboth (?:\w+ ){0,2}(?:lungs?|lobes|sides)|\btwo lungs",
    "peripheral or subpleural": r"peripher|sub-?pleural|(?:near|adjacent to|below) the (?:parietal )?"
    r"pleura",
    "consolidation": r"consolidat",
    "nodular": r"nodul",
    "multifocal or multilobar": r"multi-?focal|multi-?lob|multiple (?:\w+ ){0,2}(?:lobes|patchy)",
    "patchy": r"patch(?:y|es)",
    "reticulation or thick septa": r"reticul|(?:septal|interstitial|septum)[^.]{0,12}thick|"
    r"thicken\w* (?:\w+ ){0,3}(?:interstitium|sept)",
    "crazy paving": r"crazy[ -]?paving|paving[ -]?stones?|cobblestone",
    "diffuse": r"diffus",
    "air bronchogram": r"bronchogram|broncho-?inflation",
    "vascular enlargement": r"(?:vascular|vessels?)[^.]{0,25}(?:thick|dilat|enlarg|size increase)|"
    r"size increase of (?:\w+ ){0,2}vessel",
    "fibrosis": r"fibro(?:sis|tic)",
    "pleural effusion": r"pleural (?:and pericardial )?effusion",
    "lymph nodes": r"lymphadenopath|adenopath|lymph nodes?",
}
"""Finding -> pattern, matched in lower case; in the order in which ties are listed."""

_NEGATION = re.compile(r"\b(?:no|not|without|absence of|negative for)(?:[\s,]+[\w-]+){0,4}[\s,]*$")
_COMPILED = {name: re.compile(pattern) for name, pattern in WORDS.items()}


@dataclass(frozen=True)
class FindingCounts:
    """How often each finding is reported.

    Attributes:
      reports: slices with any report text.
      naming: of these, slices whose report names at least one finding.
      counts: finding -> slices whose report names it, the most frequent first.
    """

    reports: int
    naming: int
    counts: dict[str, int]


def findings_in(report: str) -> frozenset[str]:
    """The findings that a report names and does not deny."""
    text = " ".join(report.casefold().split())
    return frozenset(
        name
        for name, pattern in _COMPILED.items()
        if any(not _is_denied(text[: match.start()]) for match in pattern.finditer(text))
    )


def count_findings(reports: Iterable[str]) -> FindingCounts:
    """Count over the report texts of slices; '' is no report."""
    named = [findings_in(report) for report in reports if report.strip()]
    counts = Counter(name for findings in named for name in findings)
    ordered = sorted(WORDS, key=lambda name: (-counts[name], list(WORDS).index(name)))
    return FindingCounts(
        reports=len(named),
        naming=sum(bool(findings) for findings in named),
        counts={name: counts[name] for name in ordered if counts[name]},
    )


def _is_denied(text: str) -> bool:
    sentence = re.split(r"[.;:](?:\s|$)", text)[-1]
    return _NEGATION.search(sentence) is not None
