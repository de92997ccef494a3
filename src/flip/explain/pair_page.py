"""Write the page of `flip explain --against ... --html`: pairs with the words of their texts marked, in one file."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from flip.explain.contrast import SIDES
from flip.explain.results import Comparison, Failure, Input, side_names
from flip.files import Fields, replacing
from flip.html import policy
from flip.model.checkpoint import Checkpoint


def write_pairs(
    path: Path, results: Iterable[Comparison | Failure], checkpoint: Checkpoint, *,
    on_record: Callable[[int], None] | None = None,
) -> int:  # fmt: skip
    """Write a page, atomically; a query that all pairs share stands above them.

    Args:
        path: of the page.
        results: of `flip.explain.pairs.Pairs`.
        checkpoint: the model that compared them.
        on_record: called with the number of pairs written.

    Returns:
        The number of pairs.

    Raises:
        InputError: the page cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("flip.explain", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    style = (files("flip.explain") / "pairs.css").read_text(encoding="utf-8")
    name = Path(checkpoint.name)  # the page is made to be shared, and must not name the folders of this machine
    title = f"What embeddings share: {name.name if name.is_absolute() else name}"
    written = 0

    def counted() -> Iterator[Fields]:
        nonlocal written
        for result in results:
            yield _section(result)
            written += 1
            if on_record:
                on_record(written)

    page = environment.get_template("pairs.html").stream(
        title=title, style=style, policy=policy(style), pairs=counted()
    )  # fmt: skip
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(page)
    return written


def _section(result: Comparison | Failure) -> Fields:
    """Return what the template shows of a pair."""
    both = {"input": result.input, "against": result.against or Input()}
    shared: Mapping[str, Collection[str]] = {side: set() for side in SIDES}
    section: Fields = {
        "id": result.id, "query": None, "cosine": "", "sentence": "", "sides": [],
        "notes": result.warnings, "error": "",
    }  # fmt: skip
    query = None
    if isinstance(result, Failure):
        section["error"] = result.error
    elif result.pair is not None:
        query = result.query
        shared = {side: {word.word for word in result.side(side)} for side in SIDES}
        section["cosine"] = result.pair.summary
        section["sentence"] = result.said_by_sentence or ""
        section["sides"] = [(name, _words(result, side)) for side, name in side_names(query).items()]
    if query:
        section["query"] = _text(both.pop(query), {})  # it stands above all hits
    others = {"input": "only_against", "against": "only_input"}
    lost = {
        side: result.lost(other) if isinstance(result, Comparison) else frozenset() for side, other in others.items()
    }
    texts = {
        side: _text(one, {"both": shared["shared"], "own": shared[f"only_{side}"], "lost": lost[side]})
        for side, one in both.items()
    }
    section["texts"] = list(texts.values())
    return section


def _words(result: Comparison, side: str) -> list[Fields]:
    rows: list[Fields] = []
    lost = result.lost(side)
    for line in result.lines(side):
        p = line.value(lambda word: word.probability_of(side))
        share = sum(word.share for word in line.words)
        percent = "" if p is None else f"{p:.0%}"
        share_text = f"{share:+z.2f} of the cosine"
        rows.append({"label": line.label, "percent": percent, "share": share_text, "is_lost": line.has(lost)})
    return rows


def _text(given: Input, marks: Mapping[str, Collection[str]]) -> Fields:
    """Return the parts of a text, each with the first mark whose words it has; the end that was not read as unread."""
    if not given.pieces:
        return {"parts": [(given.title, "")]}
    parts = [
        (piece.text, next((mark for mark, words in marks.items() if any(one in words for one in piece.words)), ""))
        for piece in given.pieces
    ]
    return {"parts": [*parts, (given.title_unread, "unread")] if given.title_unread else parts}
