"""What `flip explain` shows on a terminal: a text word by word, then what else its embedding says."""

from collections.abc import Iterable

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flip.cli.output import shown, visible
from flip.explain.annotation import Annotation, Line, State, Token, state_names
from flip.explain.contrast import PairedWord
from flip.explain.results import Comparison, Explanation, Failure, Input, Result, lost_from, side_names
from flip.model.checkpoint import Checkpoint
from flip.model.keywords import Word

# Told apart by signs too, as terminals and readers may know no colours.
_FORMS: dict[State, tuple[str, str]] = {
    "kept": ("{}", "bold green"), "faint": ("{}~", ""), "lost": ("({})", "dim"), "unknown": ("[{}?]", "dim italic"),
    "unread": ("{{{}}}", "dim"),
}  # fmt: skip
_BAR, _WIDEST = 16, 30  # cells of a bar, and of a word beside it
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class View:
    """Draws results.

    checkpoint: the model.  least: see `flip.explain.annotation.annotate`.  scores: show those too.
    """

    def __init__(self, checkpoint: Checkpoint, *, least: float, scores: bool) -> None:
        self._checkpoint, self._least, self._scores = checkpoint, least, scores
        self._legend_due = True
        self._query: str | None = None  # shown last

    def draw(self, result: Result) -> RenderableType:
        """Return a result as a terminal shows it."""
        if isinstance(result, Failure):
            both = [result.input, *([result.against] if result.against else [])]
            parts: list[RenderableType] = [*map(_title, both), _indented(shown(result.error, "red"))]
        elif isinstance(result, Comparison):
            parts = self._comparison(result)
        else:
            parts = self._explanation(result)
        parts += [_indented(shown(warning, "yellow")) for warning in dict.fromkeys(result.warnings)]
        return Group(*parts, "")

    def _explanation(self, result: Explanation) -> list[RenderableType]:
        found = result.annotate(self._least)
        parts: list[RenderableType] = []
        if not result.input.text:
            parts.append(_title(result.input))
        if result.input.heard:
            parts.append(_indented(shown(f"heard ({result.input.heard.via}):", "italic")))
        if found.tokens:
            parts.append(_marked(found.tokens))
            if self._legend_due and any(token.state for token in found.tokens):
                parts.append(_indented(self._legend(result, found)))
                self._legend_due = False
        if result.words:
            parts += self._others(found, of_text=bool(found.tokens))
        return parts

    def _legend(self, result: Explanation, found: Annotation) -> Text:
        # A multinomial model has no probabilities, nor has a vector that nothing vouches for.
        names = state_names(self._checkpoint.likely if result.has_probabilities else None)
        cut = any(token.state == "unread" for token in found.tokens)
        named = [state for state in _FORMS if state != "unread" or cut]
        return Text("  ").join(Text(_FORMS[state][0].format(names[state]), _FORMS[state][1]) for state in named)

    def _others(self, found: Annotation, *, of_text: bool) -> list[RenderableType]:
        parts: list[RenderableType] = []
        if found.others:
            parts += [_indented(Text("also says" if of_text else "says")), self._list(found.others)]
        else:
            parts.append(_indented(Text(f"says no {'other ' * of_text}word with {self._least:.0%} or more")))
        if found.unlikely:
            parts.append(_indented(Unlikely([line.label for line in found.unlikely])))
        return parts

    def _list(self, lines: Iterable[Line[Word]]) -> RenderableType:
        rows = []
        for number, line in enumerate(lines, start=1):
            p = line.words[0].probability
            style = "dim" if p is not None and p < self._checkpoint.likely else "green"
            measure = (Text(f"{number}."),) if p is None else (Bar(p, style), _percent(p))
            rows.append((shown(line.label, style), *measure, *self._score(line.words[0].score)))
        return _columns(rows)

    def _score(self, *scores: float) -> tuple[Text, ...]:
        return tuple(Text(f"{score:.2f}", "dim") for score in scores) if self._scores else ()

    def _comparison(self, result: Comparison) -> list[RenderableType]:
        parts: list[RenderableType] = []
        for side, given in (("input", result.input), ("against", result.against)):
            if side != result.query:
                hit = shown(f"{result.id}  ", "dim") if result.query else Text()
                parts.append(Text.assemble(hit, _title(given)))
            elif given.title != self._query:
                parts.append(_title(given))
                self._query = given.title
        if (pair := result.pair) is None:
            return parts
        parts.append(_indented(shown(pair.summary)))
        if result.said_by_sentence:
            parts.append(_indented(shown(result.said_by_sentence, "italic")))
        names = side_names(result.query)
        widest = max((cell_len(line.label) for side in names for line in result.lines(side)), default=0)
        for side, name in names.items():
            if not result.side(side):
                parts.append(_indented(Text(f"{name}: no word", "dim")))
                continue
            lost = result.lost(side)
            rows = [self._paired(side, line, lost) for line in result.lines(side)]
            parts += [_indented(Text(name)), _columns(rows, widest)]
            if lost:
                parts.append(Padding(Text(lost_from(result.query, side), "dim"), (0, 0, 0, 4), expand=False))
        return parts

    def _paired(self, side: str, line: Line[PairedWord], lost: frozenset[str]) -> tuple[RenderableType, ...]:
        scores = self._score(line.words[0].score, line.words[0].against_score)
        if lost:
            scores += (Text("lost" if line.has(lost) else ""),)
        share = Text(f"{sum(word.share for word in line.words):+z.2f} of the cosine", "dim")
        p = line.value(lambda word: word.probability_of(side))
        if p is None:
            return shown(line.label, "green"), share, *scores
        return shown(line.label, "green"), Bar(p, "green"), _percent(p), share, *scores


class Bar:
    """A share from 0 to 1 as a bar, of signs where the terminal has no blocks."""

    def __init__(self, share: float, style: str) -> None:
        self._share, self._style = share, style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(bar(self._share, ascii_only=options.ascii_only), self._style, no_wrap=True)


class Unlikely:
    """Names as many improbable words as one line has room for."""

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        count = len(self._words)
        line = f"{count} less likely word{'s' * (count > 1)} (--min-probability 0): "
        for i, word in enumerate(map(visible, self._words)):
            more = "" if i == count - 1 else ", ..."
            if cell_len(line + word + more) > options.max_width:
                line += "..."
                break
            line += word + ("" if i == count - 1 else ", ")
        yield Text(line, "dim")


def bar(share: float, *, ascii_only: bool = False) -> str:
    """A bar of up to `_BAR` cells; what is not nothing is seen.

    >>> bar(0.5), bar(0.001), bar(0.25, ascii_only=True)
    ('████████', '▏', '####')
    """
    if ascii_only:
        return "#" * max(round(_BAR * share), int(share > 0))
    whole, rest = divmod(max(round(8 * _BAR * share), int(share > 0)), 8)
    return _EIGHTHS[8] * whole + (_EIGHTHS[rest] if rest else "")


def _title(given: Input) -> Text:
    if not given.title and given.text is not None:
        return Text("(blank)", "dim")
    title = shown(given.title_read, "bold")
    return title.append_text(_unread(given.title_unread)) if given.title_unread else title


def _marked(tokens: list[Token]) -> Text:
    text = Text()
    first = next((i for i, token in enumerate(tokens) if token.state == "unread"), len(tokens))
    for token in tokens[:first]:
        if token.state is None:
            text.append_text(Text(" ") if token.text.isspace() else shown(token.text))
        else:
            form, style = _FORMS[token.state]
            text.append_text(shown(form.format(token.text), style))
    rest = "".join(token.text for token in tokens[first:])
    return text.append_text(_unread(rest)) if rest else text


def _unread(text: str) -> Text:
    """Return the end of a text that the encoder did not read, in one pair of signs."""
    form, style = _FORMS["unread"]
    start = " " * text[0].isspace()
    return Text(start).append_text(shown(form.format(text.strip()), style))


def _percent(probability: float) -> Text:
    return Text(f"{probability:.0%}" if probability >= 0.01 else "<1%", justify="right")


def _columns(rows: Iterable[tuple[RenderableType, ...]], widest: int = 0) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    rows = list(rows)
    widest = max(widest, *(cell_len(str(row[0])) for row in rows))
    table.add_column(width=min(widest, _WIDEST), overflow="fold")
    for cell in rows[0][1:]:
        table.add_column(width=_BAR) if isinstance(cell, Bar) else table.add_column(justify="right")
    for row in rows:
        table.add_row(*row)
    return Padding(table, (0, 0, 0, 4), expand=False)


def _indented(text: RenderableType) -> RenderableType:
    return Padding(text, (0, 0, 0, 2), expand=False)
