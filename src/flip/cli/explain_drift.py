"""`flip explain OLD --against NEW --summary`: which words rose and fell between two stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flip.cli.output import shown

if TYPE_CHECKING:
    from flip.cli.explain_store import With
    from flip.stores.drift import DriftWord, Moments


def show_drift(old: With, new: With) -> None:
    """Prints one record."""
    from dataclasses import asdict

    from flip.stores.drift import drift

    found = drift(_moments(old), _moments(new), old.checkpoint, old.settings.explain.topn)
    shares = old.vouched and new.vouched
    sides = {name: [_fields(word, shares) for word in getattr(found, name)] for name in ("rose", "fell")}
    if not old.out.human:
        fields = asdict(found) | {"moved": round(found.moved, 4)} | sides
        old.out.record({"old": old.store.name, "new": new.store.name} | fields)
        return
    title = f"{old.store.name}: {found.old_rows} rows; {new.store.name}: {found.new_rows} rows"
    old.out.show(shown(f"{title}; {found.changed} words changed", "bold"))
    for name, sign in (("rose", "+"), ("fell", "-")):
        for word in getattr(found, name):
            old.out.show(
                shown(f"  {sign} {word.surface:<20} {word.difference:+.2f} ({word.low:+.2f} to {word.high:+.2f})")
            )
        if not getattr(found, name):
            old.out.show(shown(f"  no word {name} for certain", "dim"))


def _moments(job: With) -> Moments:
    from flip.stores.drift import Moments

    moments = Moments(job.checkpoint)
    with job.out.progress(f"reading {job.store.name}") as on_rows:
        for part, usable in job.parts([]):
            moments.add(part.vectors[usable])
            on_rows(job.counts.rows, job.store.rows)
    return moments


def _fields(word: DriftWord, shares: bool) -> dict[str, Any]:
    """In log-odds; the mean probabilities where it is known that they hold."""
    fields = {"word": word.word} | {name: round(getattr(word, name), 3) for name in ("difference", "low", "high")}
    if shares and word.share_old is not None and word.share_new is not None:
        fields |= {"share_old": round(word.share_old, 4), "share_new": round(word.share_new, 4)}
    return fields
