"""What a plan or its code has in common with a reference: names called, and names found.

MutaGReP (arXiv 2502.15872, section 4, on LongCodeArena's library-based generation, arXiv 2406.11612): the overlap is the share of a
reference's `unique_apis` that generated code calls, plainly or on an object; the recall of a plan is the share that occurs in some full
path it found, its precision the share of its symbols in which one occurs. ChrF, which compares letters and says nothing of a library's
use, is sacrebleu's, as in the benchmark's own code.

Ours: without reference names the shares are 0 (the authors' code divides by zero), and Python is read by its own parser, so that a program
with an error of syntax calls nothing (the authors' reads what it can).
"""

import ast
import warnings
from collections.abc import Collection, Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

from symposia.state.errors import SymposiaError


class Overlaps(NamedTuple):
    """Of several samples of code, the best overlap and the mean, each from 0 to 1."""

    best: float
    mean: float


def called_names(code: str, language: str = "python") -> set[str]:
    """The names that code calls: `x` for `x()`, for `f.x()` and for `f().x()`; not those only imported, or standing in a comment.

    Python that does not parse calls nothing; of other languages what can be read is.

    Raises:
        BadInput: The language is another one and the extra `code` is not installed.
    """
    if language != "python":
        from symposia.tools.symbols_treesitter import other_calls

        return other_calls(code, language)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    plain = {function.id for function in called if isinstance(function, ast.Name)}
    return plain | {function.attr for function in called if isinstance(function, ast.Attribute)}


def overlap(code: str, unique_apis: Collection[str], language: str = "python") -> float:
    """The share of the reference's names that code calls, from 0 to 1."""
    wanted = set(unique_apis)
    return len(wanted & called_names(code, language)) / len(wanted) if wanted else 0.0


def overlaps(codes: Sequence[str], unique_apis: Collection[str], language: str = "python") -> Overlaps:
    """The best and the mean overlap of samples; 0 without samples."""
    shares = [overlap(code, unique_apis, language) for code in codes]
    return Overlaps(max(shares), fmean(shares)) if shares else Overlaps(0.0, 0.0)


def chrf(codes: Sequence[str], references: Sequence[str]) -> list[float]:
    """The ChrF of each code, by its best reference: 1 for the same letters, spaces apart, and 0 for none in common.

    Raises:
        SymposiaError: sacrebleu is not installed.
    """
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise SymposiaError("sacrebleu is not installed, which measures ChrF", remedy="pip install 'symposia[eval]'") from None
    metric = CHRF()
    return [metric.sentence_score(code, references).score / 100 for code in codes]


def plan_recall(full_paths: Iterable[str], unique_apis: Collection[str]) -> float:
    """The share of the reference's names that occur in a full path of a plan, from 0 to 1."""
    found, wanted = set(full_paths), set(unique_apis)
    return sum(any(name in path for path in found) for name in wanted) / len(wanted) if wanted else 0.0


def plan_precision(full_paths: Iterable[str], unique_apis: Collection[str]) -> float:
    """The share of a plan's different symbols in whose full path a name of the reference occurs, from 0 to 1; 0 for no symbols."""
    found, wanted = set(full_paths), set(unique_apis)
    return sum(any(name in path for name in wanted) for path in found) / len(found) if found else 0.0
