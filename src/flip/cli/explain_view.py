"""What `flip explain` shows on a terminal: a text word by word, then what else its embedding says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flip.cli.output import shown
from flip.cli.terminal import visible
from flip.explain.annotate import Annotation, State, Token, read

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from flip.explain.explainer import Explainer

# Told apart by signs too, as terminals and readers may know no colours.
_FORMS: dict[State, tuple[str, str]] = {
    "kept": ("{}", "bold green"), "faint": ("{}~", ""), "lost": ("({})", "dim"), "unknown": ("[{}?]", "dim italic"),
}  # fmt: skip
_BAR, _WIDEST = 16, 30  # cells of a bar, and of a word beside it
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SIDES = {"shared": "both say", "only_input": "only the first", "only_against": "only the second"}


class View:
    """Draws records.

    topn, least: see `flip.explain.annotate.read`.  scores: show those too.
    """

    def __init__(self, explainer: Explainer, *, topn: int, least: float, scores: bool) -> None:
        self._explainer, self._topn, self._least, self._scores = explainer, topn, least, scores
        self._legend_due = True

    def draw(self, record: dict[str, Any]) -> RenderableType:
        """A record of `Explainer.stream` or `Explainer.pairs`."""
        if "error" in record:
            parts: list[RenderableType] = [_title(record), _indented(shown(record["error"], "red"))]
        elif "cosine" in record:
            parts = self._pair(record)
        else:
            parts = self._reading(record)
        parts += [_indented(shown(warning, "yellow")) for warning in record.get("warnings", ())]
        if record.get("truncated"):
            parts.append(_indented(shown("truncated: longer than the encoder reads", "yellow")))
        return Group(*parts, "")

    def _reading(self, record: dict[str, Any]) -> list[RenderableType]:
        likely = self._explainer.checkpoint.likely
        reading = read(record, self._explainer.reader, likely=likely, least=self._least, topn=self._topn)
        parts: list[RenderableType] = []
        if not record.get("text"):
            parts.append(_title(record))
        if "via" in record:
            parts.append(_indented(shown(f"heard ({record['via']}):", "italic")))
        if reading.marks:
            parts.append(_marked(reading.marks))
            if self._legend_due and any(mark.state for mark in reading.marks):
                parts.append(_indented(self._legend(record["words"])))
                self._legend_due = False
        if record["keywords"]:
            parts += self._said(reading, of_text=bool(reading.marks))
        return parts

    def _legend(self, words: list[dict[str, Any]]) -> Text:
        if any(word["probability"] is not None for word in words):
            names = {"kept": f"kept: {self._explainer.checkpoint.likely:.0%} or more"}
        else:  # there are none of a multinomial model, and of a vector that nothing vouches for
            names = {"kept": "kept (by rank)"}
        names |= {"faint": "faint", "lost": "lost", "unknown": "not in vocabulary"}
        return Text("  ").join(Text(_FORMS[state][0].format(names[state]), _FORMS[state][1]) for state in _FORMS)

    def _said(self, reading: Annotation, *, of_text: bool) -> list[RenderableType]:
        listed = reading.others
        parts: list[RenderableType] = []
        if listed:
            parts += [_indented(Text("also says" if of_text else "says")), self._list(listed)]
        else:
            parts.append(_indented(Text(f"says no {'other ' * of_text}word with {self._least:.0%} or more")))
        if reading.unlikely:
            parts.append(_indented(Unlikely([word["surface"] for word in reading.unlikely])))
        return parts

    def _list(self, words: Iterable[dict[str, Any]]) -> RenderableType:
        rows = []
        for number, word in enumerate(words, start=1):
            probability = word.get("probability")
            style = "dim" if probability is not None and probability < self._explainer.checkpoint.likely else "green"
            measure = (Text(f"{number}."),) if probability is None else (Bar(probability, style), _percent(probability))
            rows.append((shown(word["surface"], style), *measure, *self._score(word["score"])))
        return _columns(rows)

    def _score(self, *scores: float) -> tuple[Text, ...]:
        return tuple(Text(f"{score:.2f}", "dim") for score in scores) if self._scores else ()

    def _pair(self, record: dict[str, Any]) -> list[RenderableType]:
        cosine = f"cosine {record['cosine']:.2f}: {record['by_words']:.2f} by these words, {record['rest']:.2f} not"
        parts: list[RenderableType] = [_title(record), _title(record["against"]), _indented(shown(cosine))]
        widest = max((cell_len(word["surface"]) for side in _SIDES for word in record[side]), default=0)
        for side, name in _SIDES.items():
            if not record[side]:
                parts.append(_indented(Text(f"{name}: no word", "dim")))
                continue
            parts += [_indented(Text(name)), _columns((self._paired(side, word) for word in record[side]), widest)]
        return parts

    def _paired(self, side: str, word: dict[str, Any]) -> tuple[RenderableType, ...]:
        scores = self._score(word["score"], word["against_score"])
        share = Text(f"{word['share']:+.2f} of the cosine", "dim")
        if "probability" not in word:
            return shown(word["surface"], "green"), share, *scores
        both = word["probability"], word["against_probability"]
        likely = {"shared": min(both), "only_input": both[0], "only_against": both[1]}[side]
        return shown(word["surface"], "green"), Bar(likely, "green"), _percent(likely), share, *scores


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
        line = f"{count} less likely word{'s' * (count > 1)} (--min-probability 0 lists them): "
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


def _title(record: dict[str, Any]) -> Text:
    own = record.get("text") or record.get("audio") or (f"row {record['row']}" if "row" in record else "")
    return shown(own, "bold") if own or "text" not in record else Text("(blank)", "dim")


def _marked(marks: list[Token]) -> Text:
    text = Text()
    for mark in marks:
        if mark.state is None:
            text.append_text(Text(" ") if mark.text.isspace() else shown(mark.text))
        else:
            form, style = _FORMS[mark.state]
            text.append_text(shown(form.format(mark.text), style))
    return text


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
