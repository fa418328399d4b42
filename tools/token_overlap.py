"""F1 of the words of an answer against those of a reference, as extractive question answering is scored.

Rajpurkar et al., SQuAD (arXiv 1606.05250), section 6.1; answers are compared in lower case, without punctuation and articles.
"""

from collections import Counter

from symposia.tools.pairs import normal


def token_f1(answer: str, reference: str) -> float:
    """Harmonic mean of the share of the answer's words in the reference and of the reference's in the answer, in 0..1."""
    given, wanted = normal(answer).split(), normal(reference).split()
    common = sum((Counter(given) & Counter(wanted)).values())
    if not common:
        return float(given == wanted)
    return 2 * common / (len(given) + len(wanted))
