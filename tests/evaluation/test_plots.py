from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flip.errors import InputError, UsageError
from flip.evaluation.plots import _panels, draw_plots, heading, inline_svgs, names_of

NAN = float("nan")


def result(model: str = "run", rank: int | str = 64, accuracy: float = 0.5, **more: Any) -> dict[str, Any]:
    estimate = {"mean": accuracy, "se": 0.01, "n": 9}
    about = {"dataset": "test", "embedding": "text", "method": "flip", "recipe": "one"}
    return about | {"model": model, "rank": rank, "metrics": {"accuracy": {"bias": estimate}}} | more


def curve(*values: float) -> dict[str, list[Any]]:
    ns = list(range(1, 51))
    return {"n": ns} | {key: [value] * 50 for key, value in zip(("precision", "recall", "f1"), values, strict=True)}


def drawn(title: str, results: list[dict[str, Any]]) -> Axes:
    (panel,) = [panel for panel in _panels(results) if panel.title == title]
    axes = Figure().add_subplot()
    panel.draw(axes)
    return axes


def test_every_model_has_a_dot_and_its_95_percent_interval() -> None:
    results = [result("a", accuracy=0.5), result("b", accuracy=0.75)]
    results[1]["metrics"]["content_recall"] = {"mean": 0.8, "se": 0.02, "n": 9}
    axes = drawn("Figures with 95% intervals", results)
    bars = [(bar.lines[0].get_xydata()[0].tolist(), bar.lines[2][0].get_segments()[0]) for bar in axes.containers]
    assert [mean for (mean, _), _ in bars] == [0.5, 0.75, 0.8]
    first, second, below = (place for (_, place), _ in bars)
    assert (first, second) == (0, 1) and 1.2 < below < 1.5  # intervals of one model may overlap
    for (mean, _), segment in bars:
        error = 0.02 if mean == 0.8 else 0.01
        assert segment[:, 0].tolist() == pytest.approx([mean - 1.96 * error, mean + 1.96 * error])
    assert {"a", "b", "50.0", "75.0", "80.0"} <= {text.get_text() for text in axes.texts}


def test_axes_are_in_percent_as_the_numbers_beside_them() -> None:
    both = {"bias": curve(0.4, 0.3, 0.3), "no_bias": curve(0.2, 0.1, 0.1)}
    bands = {"bias": {"least": [1, 10], "recall": [0.5, 0.75], "se": [0.1, 0.1], "n": [3, 4]}}
    one = result("a", accuracy=0.5)
    one["metrics"] |= {"curve": both, "recall_by_frequency": bands}
    another = result("b", 128, accuracy=0.625)
    for title, names in (
        ("Figures with 95% intervals", "x"), ("Precision and recall at N = 1..50", "xy"),
        ("Recall by word frequency", "y"), ("Accuracy and rank", "y"),
    ):  # fmt: skip
        axes = drawn(title, [one, another])
        for name in names:
            form = getattr(axes, f"{name}axis").get_major_formatter()
            assert [form(share, 0) for share in (0, 0.625, 1)] == ["0%", "62.5%", "100%"]


def test_a_line_joins_only_models_that_differ_in_rank_alone() -> None:
    sweep = [result("c", "full", 0.7), result("a", 64, 0.4), result("b", 128, 0.5)]
    other = result("d", 64, 0.6, recipe="another")
    axes = drawn("Accuracy and rank", [*sweep, other])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["64", "128", "full"]
    lines = [bar.lines[0].get_xydata().tolist() for bar in axes.containers]
    assert sorted(lines) == [[[0, 0.4], [1, 0.5], [2, 0.7]], [[0, 0.6]]]
    # Two of one rank, told to be alike, are not joined either.
    axes = drawn("Accuracy and rank", [*sweep, result("e", 64, 0.45)])
    assert [bar.lines[0].get_linestyle() for bar in axes.containers] == ["None"]


def test_models_of_one_rank_are_no_sweep() -> None:
    assert [panel.title for panel in _panels([result("a"), result("b")])] == ["Figures with 95% intervals"]


def test_the_most_frequent_words_stand_beside_every_curve() -> None:
    results = [result(name, most_frequent_words={"curve": curve(0.2, 0.1, 0.1)}) for name in "ab"]
    for one, height in zip(results, (0.6, 0.7), strict=True):
        one["metrics"]["curve"] = {"bias": curve(height, 0.5, 0.5), "no_bias": curve(height - 0.3, 0.4, 0.4)}
    results[1]["most_frequent_words"] = {"curve": curve(0.3, 0.1, 0.1)}
    axes = drawn("Precision and recall at N = 1..50", results)
    heights = [(line.get_linestyle(), line.get_ydata()[0]) for line in axes.lines if len(line.get_ydata()) == 50]
    assert heights == [("-", 0.6), ("--", 0.6 - 0.3), ("-", 0.7), ("--", 0.7 - 0.3), (":", 0.2), (":", 0.3)]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["with b", "without b", "most frequent words"]


def test_bands_of_word_frequency_stand_where_they_belong() -> None:
    def banded(**values: list[float]) -> dict[str, Any]:
        return {"words": [], "n": [], **values, "se": [0.0] * len(values["least"])}

    results = [result("a"), result("b")]
    results[0]["metrics"]["recall_by_frequency"] = {"bias": banded(least=[1, 2, 500], recall=[0.1, 0.2, 0.9])}
    results[1]["metrics"]["recall_by_frequency"] = {"no_bias": banded(least=[2, 5], recall=[0.3, 0.4])}
    axes = drawn("Recall by word frequency", results)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2-4", "5-9", "500+"]
    places = [bar.lines[0].get_xdata().tolist() for bar in axes.containers]
    assert places == [[0, 1, 3], [1, 2]]


def test_a_curve_of_no_sentence_is_drawn_empty() -> None:
    nothing = {"embedding": "text", "model": "run", "rank": 64, "metrics": {"curve": {"bias": curve(NAN, NAN, NAN)}}}
    ((_, drawing),) = inline_svgs([nothing])
    assert drawing.startswith("<svg")


def test_names_are_drawn_as_they_are_and_long_ones_cut_in_the_middle() -> None:
    names = ["$\\frac{1$", "_hidden", "a^b_c", "<i>"]
    results = [result("run", accuracy=0.1 * i, embedding=name) for i, name in enumerate(names)]
    ((_, drawing),) = inline_svgs(results)
    assert all(name.replace("<", "&lt;").replace(">", "&gt;") in drawing for name in names)
    long = [f"/a/very/long/path/to/many/experiments/{'with-words-' * 5}of-{i}" for i in "xy"]
    ((_, drawing),) = inline_svgs([result(name) for name in long])
    assert "/a/very/long…" in drawing and "of-x" in drawing and "of-y" in drawing and "experiments" not in drawing
    ((_, drawing),) = inline_svgs([result("same" * 20, dataset=f"{i}" * 3) for i in range(2)])
    assert "on 000" in drawing and "on 111" in drawing


@pytest.mark.parametrize(
    ("results", "title", "names"),
    [
        ([result("run")], "run on test / text", ["run"]),
        ([result("a"), result("b")], "2 models on test / text", ["a", "b"]),
        ([result("a", embedding="a"), result("b", embedding="x")], "2 models on test", ["a", "b on x"]),
        ([result("a"), result("a", dataset="dev")], "a / text", ["a on test", "a on dev"]),
    ],
)
def test_titles_name_model_and_data(results: list[dict[str, Any]], title: str, names: list[str]) -> None:
    assert heading(results) == title
    assert names_of(results) == names


def test_a_picture_of_eight_models(tmp_path: Path) -> None:
    results = [result(f"model {i}", 2**i, 0.5 + i / 50, recipe=str(i % 2)) for i in range(8)]
    draw_plots(results, tmp_path / "eight.svg")
    drawing = (tmp_path / "eight.svg").read_text(encoding="utf-8")
    assert "8 models on test / text" in drawing and all(f"model {i}" in drawing for i in range(8))
    draw_plots(results, tmp_path / "eight.png")
    assert (tmp_path / "eight.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="nothing to draw"):
        draw_plots([result(metrics={})], tmp_path / "none.svg")
    with pytest.raises(UsageError, match="unknown ending"):
        draw_plots(results, tmp_path / "eight.gif")
