"""The scripts of examples/, run as a reader would."""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from flip.data.manifest import load_manifest
from flip.data.published import load_vocabulary
from tests.conftest import QUICKSTART, ROOT
from tests.settings import params

pytestmark = pytest.mark.slow

PAPER = ROOT / "examples" / "paper"


def script(path: Path, *args: object) -> str:
    done = subprocess.run([sys.executable, path, *map(str, args)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def two_views(here: Path, quickstart: Path) -> Path:
    """The quickstart's datasets with a second, noisier embedding."""
    rng, entries = np.random.default_rng(0), []
    for part in ("train", "dev", "test"):
        u = np.load(quickstart / f"{part}.npy")
        np.save(here / f"{part}.npy", (u + 0.02 * rng.normal(size=u.shape)).astype(np.float32))
        text = quickstart / f"{part}.sentences.txt"
        entries.append(
            f"{part}: {{embeddings: [{{id: text, file: {quickstart / part}.npy}}, {{id: speech, file: {part}.npy}}],"
            f" texts: [{{id: en, file: {text}}}, {{id: xx, file: {text}}}]}}\n"
        )
    (here / "datasets.yaml").write_text("".join(entries))
    return here / "datasets.yaml"


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines() if line[:1] == "|"]


def test_table1_ranks_and_their_plot(two_views: Path) -> None:
    out = script(
        PAPER / "table1.py", two_views, "--text", "en", "--ranks", 16, 8, "--plot", "r.svg", "--", "--epochs", 2
    )
    heading, _, *rows = cells(out)
    assert heading == ["rank", *(f"{name}, {side}" for name in ("text", "speech") for side in ("with b", "without b"))]
    assert [row[0] for row in rows] == ["16", "8"]
    assert "Accuracy and rank" in Path("r.svg").read_text(encoding="utf-8")


def test_the_ablation_tests_the_rate_that_is_best_on_dev(two_views: Path) -> None:
    chosen = ("--text", "en", "--rank", 8, "--inputs", "whitened", "--lr", 0.03)
    heading, _, *rows = cells(script(PAPER / "ablation.py", two_views, *chosen, "--", "--epochs", 1))
    assert heading[2:5] == ["LiP, with b", "LiP, without b", "LiP, lr"]
    assert [row[:2] for row in rows] == [["whitened", "multinomial"], ["whitened", "bernoulli"]]
    for inputs, objective, *_, lr in rows:
        dev = {}
        for config in Path("paper").glob(f"{inputs}-{objective}-8-*/config.json"):
            metrics = json.loads(config.read_text(encoding="utf-8"))["metrics"]["dev"]
            dev[float(config.parent.name.rpartition("-8-")[2])] = metrics["accuracy"]["bias"]["mean"]
        assert dev[float(lr)] == max(dev.values()) and min(dev) < float(lr) < max(dev)


def test_a_run_of_other_options_data_or_words_is_not_taken_for_this_one(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(PAPER)
    runs = importlib.import_module("runs")
    commands = []

    def flip(*args: object) -> None:
        commands.append(args[0])
        target = Path(str(args[args.index("-o") + 1]))
        target.write_text('{"sentence": 0}') if target.suffix else target.mkdir(exist_ok=True)

    def train(material: object, run: Path, configure: object, **given: object) -> list[object]:
        commands.append("train")
        run.mkdir(exist_ok=True)
        return []

    def made(language: str, *options: object) -> list[object]:
        commands.clear()
        data = here / language / "datasets.yaml"
        args = argparse.Namespace(data=data, train="train", dev="dev", test="test", text="en", vocab=None, output=here)
        runs.trained(here / "on-en", args, runs.vocabulary(args), *options)
        return list(commands)

    monkeypatch.setattr(runs, "flip", flip)
    monkeypatch.setattr(runs, "train", train)
    for language in ("de", "fr"):
        (here / language).mkdir()
        (here / language / "train.txt").write_text("A sentence.\n")
        (here / language / "datasets.yaml").write_text("train: {texts: [{id: en, file: train.txt}]}\n")
    assert made("de") == ["vocab", "train"]
    assert made("de") == []
    assert made("de", "--epochs", 3) == ["train"]
    assert made("de", "--epochs", 3) == []
    assert "on-en is of another call" in capsys.readouterr().err
    assert made("fr", "--epochs", 3) == ["vocab", "train"]
    later = (here / "on-en.call.json").stat().st_mtime + 5
    os.utime(here / "vocab-en.json", (later, later))
    assert made("fr", "--epochs", 3) == ["train"]


def test_recipes_side_by_side(two_views: Path) -> None:
    out = script(PAPER / "recipes.py", two_views, "--text", "en", "--rank", 8, "--extra", "dev", "--", "--epochs", 3)
    _, _, *rows = cells(out)
    assert [row[0] for row in rows] == ["paper", "flip", "flip, augmented"]
    used = json.loads(Path("paper/recipe-flip/config.json").read_text(encoding="utf-8"))["training"]
    assert used["precision"] == "float32"


def test_time_to_an_accuracy_is_to_the_first_check_that_reaches_it(here: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(PAPER)
    recipes = importlib.import_module("recipes")
    checks = [(None, 1.0, False), (0.5, 2.0, True), (0.7, 4.0, False), (0.6, 8.0, True)]
    lines = [{"accuracy": a, "score": a, "seconds": s, "best": best} for a, s, best in checks]
    (here / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert recipes.best_accuracy(here) == 0.7
    assert recipes.seconds(here, 0.6) == (15.0, 7.0)
    assert np.isnan(recipes.seconds(here, 0.8)[1])


def test_sizes_are_tested_on_the_same_sentences(two_views: Path) -> None:
    chosen = ("--text", "en", "--rank", 8, "--sizes", 300, "--lrs", 0.01, 0.02)
    heading, _, *rows = cells(script(PAPER / "sizes.py", two_views, *chosen, "--", "--epochs", 1))
    assert heading[2:] == ["lr 0.01, with b", "lr 0.01, without b", "lr 0.02, with b", "lr 0.02, without b"]
    assert [row[:2] for row in rows] == [["300", "no"], ["300", "yes"]]
    for run, learned in (("size-300-0.01", "train"), ("size-300-augmented-0.01", "train,augmented")):
        data = json.loads((Path("paper") / run / "config.json").read_text(encoding="utf-8"))["data"]
        assert (data["train"], data["train_sentences"]) == (learned, 300)


def test_tables_2_and_3_train_on_one_view_and_test_on_both(two_views: Path) -> None:
    _, _, *rows = cells(script(PAPER / "table2.py", two_views, "--text", "en", "--rank", 16, "--", "--epochs", 2))
    assert [(row[0], row[1], row[3]) for row in rows] == [("text", "text", "speech"), ("speech", "speech", "text")]
    assert all(row[-1] == "212" for row in rows)


STAND_IN = """
import json, sys, torch, yaml

class Model(torch.nn.Module):
    def __init__(self, words, d, rank):
        super().__init__()
        shapes = {"E1": (words, rank), "E2": (rank, d), "b": (words, 1)}
        for name, shape in shapes.items():
            setattr(self, name, torch.nn.Parameter(torch.randn(shape)))

def evaluate_pr(model, device):
    return {}

def main():
    config = yaml.safe_load(open(sys.argv[sys.argv.index("--config") + 1]))
    folder = config["data"]["vocab_yaml"].rpartition("/")[0]
    model = torch.compile(Model(len(json.load(open(folder + "/vocab_3.json"))), 384, config["model"]["rank"]))
    for _ in range(1 + config["training"]["iterations"]):
        evaluate_pr(model, "cpu")
        model.cuda()
"""
WORDS = """
import json, pathlib, sys, yaml
config = yaml.safe_load(open(sys.argv[sys.argv.index("--vocab_yaml") + 1]))
folder = pathlib.Path(config["output_dir"]) / config["name"]
folder.mkdir(parents=True)
(folder / "vocab_3.json").write_text(json.dumps({"the": 0, "train": 1, "was": 2}))
(folder / "vocab_config.yaml").write_text(yaml.safe_dump(config))
"""


def test_both_programs_pass_by_pass(two_views: Path) -> None:
    checkout = two_views.parent / "FLiP"
    for name, content in (("lolm/train.py", STAND_IN), ("lolm/__init__.py", ""), ("scripts/build_cvect.py", WORDS)):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(content)
    named = (two_views, "--text", "en", "--rank", 8, "--epochs", 3)
    for _ in range(2):  # what an earlier run left is of no consequence
        heading, _, *rows = cells(script(PAPER / "passes.py", *named, "--theirs", checkout))
    assert heading == ["pass", "flip --recipe paper", "the published program"]
    assert [row[0] for row in rows] == ["1", "2", "3"] and all(0 <= float(cell) <= 100 for row in rows for cell in row)
    assert "pass by pass" in Path("passes.svg").read_text(encoding="utf-8")
    heading, _, *rows = cells(script(PAPER / "passes.py", *named, "-o", "alone"))
    assert heading == ["pass", "flip --recipe paper"] and len(rows) == 3


def test_a_text_that_has_to_be_chosen_is_one_error(two_views: Path) -> None:
    command = [sys.executable, PAPER / "table3.py", two_views]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=two_views.parent)
    assert done.returncode and not done.stdout
    assert done.stderr.startswith("error: dataset 'train' has several texts (it has: ")
    assert done.stderr.endswith("hint:  choose one with --text\n") and "Traceback" not in done.stderr


def test_tables_4_and_5_take_the_words_of_either_text(two_views: Path) -> None:
    _, _, *rows = cells(script(PAPER / "table5.py", two_views, "--rank", 16, "--", "--epochs", 2))
    assert [row[1:3] for row in rows] == [["en", "text"], ["xx", "speech"]]


CHINESE = """
    我们 喜欢 火车 今天 天气 明天 下雨 老师 学生 医生 公园 历史 学校 朋友 时间 问题 工作 经济 政策 花园
    足球 公司 股票 价格 咖啡 科学 病毒 地铁 大学 北京 上海 城市 音乐 电影 电话 电脑 飞机 汽车 银行 医院
""".split()  # noqa: SIM905


def test_table_4_takes_the_words_of_each_side_by_its_script(two_views: Path, quickstart: Path) -> None:
    for part in ("train", "dev", "test"):
        lines = (quickstart / f"{part}.sentences.txt").read_text(encoding="utf-8").splitlines()
        written = ["".join(CHINESE[crc32(word.encode()) % len(CHINESE)] for word in line.split()) for line in lines]
        Path(f"{part}.zh").write_text("".join(f"{line}。\n" for line in written), encoding="utf-8")
        manifest = two_views.read_text()
        chinese = f"id: xx, file: {Path.cwd() / part}.zh"
        two_views.write_text(manifest.replace(f"id: xx, file: {quickstart / part}.sentences.txt", chinese))
    command = (PAPER / "table4.py", two_views, "--rank", 16, "--", "--epochs", 2)
    _, _, *rows = cells(script(*command))
    assert [row[0] for row in rows] == ["en", "xx"]
    assert all(float(row[2].split()[0]) > 10 for row in rows)
    words = {name: load_vocabulary(Path(f"paper/words-{name}/vocab.json")).words for name in ("en", "xx")}
    assert sum(map(len, words["en"])) > 3 * len(words["en"]) and len({*CHINESE} & {*words["xx"]}) > len(CHINESE) / 2
    made = Path("paper/words-xx/model.safetensors").stat().st_mtime_ns
    script(*command)
    assert Path("paper/words-xx/model.safetensors").stat().st_mtime_ns == made


def test_figure_1_takes_names_by_capital_letters(here: Path, quickstart: Path, flip, run_folder: Path) -> None:
    sentences = ["He asked Mrs. Dyer and Marilyn Monroe.", "Nobody came, I think.", "So said Ada Lovelace, in London."]
    (here / "named.txt").write_text("\n".join(sentences) + "\n")
    assert flip("embed", "named.txt", "-o", "named.npy").code == 0
    (here / "d.yaml").write_text(
        "".join(
            f"{part}: {{embeddings: [{{id: e, file: {file}.npy}}], texts: [{{id: t, file: {file}.sentences.txt}}]}}\n"
            for part, file in (("train", quickstart / "train"), ("dev", quickstart / "dev"), ("test", "named"))
        )
    )
    out = script(PAPER / "figure1.py", "d.yaml", "--rank", 16, "--", "--epochs", 1)
    assert "2 of 3 sentences have a name" in out
    assert '"entity_names": ["Dyer", "Marilyn Monroe"]' in (here / "paper" / "names.jsonl").read_text()
    assert Path("figure1.svg").is_file()


def test_help_pages_are_aligned_by_paragraph(here: Path) -> None:
    page = '<html><body><p id="par_1">{0}</p><p id="par_2">Same text on both sides.</p><p>No id here at all.</p></body>'
    for language, text in (("en-US", "Choose <b>File</b> and save it."), ("de", "Wähle Datei und sichere sie.")):
        (here / language).mkdir()
        (here / language / "a.html").write_text(page.format(text), encoding="utf-8")
    assert script(PAPER / "bitext.py", here, "de", "pairs") == "1 pairs\n"
    assert (here / "pairs.en").read_text() == "Choose File and save it.\n"
    assert (here / "pairs.de").read_text(encoding="utf-8") == "Wähle Datei und sichere sie.\n"


def test_recordings_with_a_spoken_sentence_are_listed(here: Path) -> None:
    lines = "a: Please leave a message. (beep)\nb: Goodbye.\nmissing: There is no such recording.\n"
    (here / "list.txt.gz").write_bytes(gzip.compress(lines.encode()))
    for name in "ab":
        (here / f"{name}.wav").touch()
    assert script(PAPER / "prompts.py", "list.txt.gz", here, "clips.tsv") == "1 recordings\n"
    assert (here / "clips.tsv").read_text() == f"{here / 'a.wav'}\tPlease leave a message.\n"


def test_two_views_of_a_recording(here: Path) -> None:
    (here / "clips.tsv").write_text(f"{ROOT / 'examples' / 'audio.wav'}\tYesterday the children played football.\n")
    script(PAPER / "speech.py", "clips.tsv", "spoken")
    assert (here / "spoken.text").read_text() == "Yesterday the children played football.\n"
    assert "children played football" in (here / "spoken.speech").read_text()


def test_retrieval_shows_why_a_hit_came_back(here: Path) -> None:
    retrieve = ROOT / "examples" / "retrieval" / "retrieve.py"
    out = script(retrieve, QUICKSTART / "train.txt", "a boat in the harbour", "--hits", 1)
    similarity, *words = out.splitlines()
    assert float(similarity.split()[0]) > 0.5
    assert words[0].split(":")[0].strip() == "both"
    assert "harbour" in words[0]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("flip.toml")), ids=lambda path: path.parent.name)
def test_every_setting_of_a_flip_toml_is_one(path: Path, here: Path) -> None:
    shutil.copy(path, here)
    written = tomllib.loads(path.read_text(encoding="utf-8"))
    for command in [name for name, value in written.items() if isinstance(value, dict)]:
        settings = params(command, args=("a/b",) if command == "pull" else ())
        assert {name: str(settings[name]) for name in written[command]} == {
            name: str(value) for name, value in written[command].items()
        }


def test_every_method_on_the_same_embeddings(here: Path, quickstart: Path) -> None:
    (here / "v.json").write_bytes((quickstart / "vocab.json").read_bytes())
    out = script(
        PAPER / "methods.py", quickstart / "datasets.yaml", "--vocab", "v.json", "--rank", 16, "--", "--epochs", 2
    )
    _, _, *rows = cells(out)
    assert [row[0] for row in rows] == [
        "FLiP, `flip train`", "FLiP, the published recipe", "LiP, the published recipe", "SpLiCE",
        "nearest word vectors", "most frequent words",
    ]  # fmt: skip
    share = {row[0]: float(row[2].split()[0]) for row in rows}
    assert share["FLiP, `flip train`"] > share["most frequent words"]


def test_a_share_of_the_bundled_text_is_balanced_and_stays_aligned(here: Path) -> None:
    work = here / "m.work"
    work.mkdir()
    measured = ("textbooks", "novels", "office", "medicine", "chat", "news", "voice")
    for i, (source, part) in enumerate((source, part) for source in measured for part in ("train", "dev", "test")):
        rows = 4 if source == "news" else 40
        np.save(work / f"{source}.{part}.npy", (1000 * i + np.arange(rows)[:, None]).astype(np.float32))
        (work / f"{source}.{part}.sentences.txt").write_text("".join(f"{1000 * i + row}\n" for row in range(rows)))
        about = {"encoder": "minilm", "revision": "r", "weights": "w", "dimension": 1, "dtype": "float32"}
        (work / f"{source}.{part}.json").write_text(json.dumps(about))
    script(ROOT / "examples" / "bundled" / "share.py", work, "--sentences", 70)
    datasets = load_manifest(work / "datasets.yaml")
    assert list(datasets) == ["train", "dev", *measured]
    train, u = datasets["train"], np.asarray(datasets["train"].embeddings[0].open()[:])
    assert train.sentences() == [str(int(row)) for row in u[:, 0]]
    assert [int((u // 1000 == 3 * i).sum()) for i in range(7)] == [11, 11, 11, 11, 11, 4, 11]
