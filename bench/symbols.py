"""How often a docstring's first line finds its symbol among the first five: MutaGReP's index over an installed package or a folder.

    python bench/symbols.py [--package networkx | --folder DIR] [--seeds 0 1 2] [--drawn 50] [--intents 5] [--model M] [--embedder M]

Symbols with a docstring are drawn at random, and the first line of each is asked for. By default the toy describer writes the sentences and
the hashing embedder compares them, offline: the toy puts the docstring's own words into its sentences, so the share says how well the
retrieval tells thousands of symbols apart, and nothing about paraphrases. `--intents 0` asks no model. Prints the share for each seed, and
of every symbol missed where it stood and why. Exit code 1 when a share is below `--least`.
"""

import argparse
import asyncio
import importlib.util
import random
import sys
import time
from collections import Counter
from pathlib import Path

from symposia.graphs._mutagrep_index import INDEX, IndexParams, prepare_rows
from symposia.state.journal import Run, opened
from symposia.tools.retrieval import Index, ground

FIRST = 5
SEEN = 100


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", default="networkx", help="an installed package")
    parser.add_argument("--folder", type=Path, help="a repository, instead of a package")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--drawn", type=int, default=50, help="symbols per seed")
    parser.add_argument("--intents", type=int, default=5, help="sentences per symbol; 0 takes name and docstring")
    parser.add_argument("--retriever", choices=("embedding", "bm25"), default="embedding")
    parser.add_argument("--model", default="toy/default", help="who writes the sentences")
    parser.add_argument("--embedder", help="LiteLLM name; hashing without")
    parser.add_argument("--least", type=float, default=0.8, help="share that each seed must reach")
    return parser.parse_args()


def folder_of(package: str) -> Path:
    """Where a package is installed; it is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"{package} is not installed, or no package")
    return Path(found.submodule_search_locations[0])


def first_line(docstring: str) -> str:
    """The line that is asked for."""
    return docstring.strip().split("\n", 1)[0].strip()


async def main(args: argparse.Namespace) -> bool:
    """Index, ask, print; whether every share is large enough."""
    root = args.folder or folder_of(args.package)
    params = IndexParams(model=args.model, n_intents=args.intents, seed=1, roles={"embedder": args.embedder} if args.embedder else {})
    begun = time.perf_counter()
    rows = prepare_rows([{"repo_root": str(root)}], params.model_dump(mode="json"))
    content = (await INDEX.ainvoke({"rows": rows}, context=params))["answer"]
    index = Index.unpack(content)
    size = sum(len(text) for text in content.values() if isinstance(text, str))
    kinds = Counter(symbol["symbol_type"] for symbol in index.symbols.values())
    counts = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
    print(f"{root.name}: {len(index.symbols)} symbols ({counts}), {len(index.intents)} sentences")
    print(
        f"indexed in {time.perf_counter() - begun:.1f} s, {size / 1e6:.1f} MB; {len(content['failures'])} symbols without sentences,",
        end=" ",
    )
    print(f"{len(content['skipped'])} files not read; embedder {index.embedder}, retriever {args.retriever}")

    lines = {path: first_line(symbol["docstring"]) for path, symbol in index.symbols.items()}
    candidates = [path for path, line in lines.items() if any(sign.isalnum() for sign in line)]
    shared = Counter(lines[path] for path in candidates)
    good = True
    for seed in args.seeds:
        drawn = random.Random(seed).sample(candidates, min(args.drawn, len(candidates)))
        begun = time.perf_counter()
        async with opened(Run("memory")):
            grounded = await ground(index, [lines[path] for path in drawn], SEEN, method=args.retriever)
        hits = [[hit["full_path"] for hit in found] for found in grounded]
        seconds = time.perf_counter() - begun
        missed = [(path, found) for path, found in zip(drawn, hits, strict=True) if path not in found[:FIRST]]
        share = 1 - len(missed) / len(drawn)
        good = good and share >= args.least
        print(f"\nseed {seed}: {share:.0%} of {len(drawn)} among the first {FIRST} ({1000 * seconds / len(drawn):.1f} ms each)")
        for path, found in missed:
            place = f"place {found.index(path) + 1}" if path in found else f"not among {len(found)}"
            twins = f"; {shared[lines[path]] - 1} others begin with the same line" if shared[lines[path]] > 1 else ""
            print(f"  {path}: {place}{twins}\n    asked {lines[path][:90]!r}, first {found[0] if found else 'nothing'}")
    return good


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main(arguments())) else 1)
