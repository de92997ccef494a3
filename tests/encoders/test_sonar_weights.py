"""SONAR's weights from a hub that lists the same files as the real one, by the names in the real files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from official_sonar import GOLDEN, LANGUAGES, SENTENCES
from safetensors.torch import load_file, save, save_file
from test_sonar import fairseq_name

from flip.encoders import EncoderOptions, load_encoder
from flip.encoders.languages import SONAR_SPEECH
from flip.encoders.sonar import checkpoints, missing
from flip.encoders.sonar.checkpoints import FastTokenizer, SonarTokenizer, load_weights
from flip.encoders.sonar.port import Port
from flip.errors import InputError, UnavailableError
from hub_server import Hub, hub_server, point_client_to, sha256

WITH_TOKENIZER = "cointegrated/SONAR_200_text_encoder"
WITHOUT = "cointegrated/SONAR_200_text_encoder_hf"
# The languages whose cards name the first release; 36 others have a later one.
V3 = set("arb cat cym dan deu est fin fra ind ita kor nld pes por ron spa swh tgl tur uzn".split())  # noqa: SIM905
SPM = (GOLDEN / "tiny.model").read_bytes()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_server() as server:
        point_client_to(server.url, tmp_path / "home", monkeypatch)
        yield server


def transformers_names(prefix: str = "", embed: str = "embed_tokens.weight") -> dict[str, torch.Tensor]:
    """Return the tiny official encoder as transformers names it; there the control tokens have another order."""
    found = {}
    for key, value in load_file(GOLDEN / "text.safetensors").items():
        if not key.startswith("model."):
            continue
        key = key.removeprefix("model.")
        for official, name in (
            ("encoder.layers.", "layers."), ("output_proj.", "out_proj."), ("ffn.inner_proj.", "fc1."),
            ("ffn.out_proj.", "fc2."), ("ffn_layer_norm.", "final_layer_norm."),
        ):  # fmt: skip
            key = key.replace(official, name)
        found[prefix + key] = value
    table = found.pop(f"{prefix}encoder_frontend.embed.weight").clone()
    table[:4] = table[[2, 0, 3, 1]]
    return found | {embed: table}


def pickled(tensors: dict[str, torch.Tensor]) -> bytes:
    file = io.BytesIO()
    torch.save(tensors, file)
    return file.getvalue()


def tokenizer_json() -> bytes:
    """Write the tiny sentencepiece model as transformers does: control tokens first, languages behind the pieces."""
    from sentencepiece import SentencePieceProcessor
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

    pieces = SentencePieceProcessor(model_proto=SPM)
    names = [pieces.id_to_piece(i) for i in range(3, pieces.get_piece_size())]
    ids = {name: i for i, name in enumerate(["<s>", "<pad>", "</s>", "<unk>", *names])}
    pairs = [(name[:i], name[i:]) for name in names for i in range(1, len(name))]
    merges = sorted((ids[a + b], a, b) for a, b in pairs if a in ids and b in ids)
    made = Tokenizer(models.BPE(ids, [(a, b) for _, a, b in merges], unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", *(AddedToken(name) for name in LANGUAGES)])
    made.enable_truncation(5)
    return made.to_str().encode()


TOKENIZER = {"sentencepiece.bpe.model": SPM, "tokenizer.json": tokenizer_json()}
OTHERS = {".gitattributes": b"", "README.md": b"", "config.json": b"{}"}
FIRST = OTHERS | TOKENIZER | {"special_tokens_map.json": b"{}", "tokenizer_config.json": b"{}"}
SHARED = OTHERS | {"model.safetensors": save(transformers_names("encoder.", "shared.weight"))}


def vectors() -> dict[str, np.ndarray]:
    port = Port("cpu", languages=LANGUAGES, heads=4)
    return {language: port.text(SENTENCES[language], language) for language in ("eng_Latn", "deu_Latn")}


def require_official(found: dict[str, np.ndarray]) -> None:
    golden = load_file(GOLDEN / "text.safetensors")
    for language, u in found.items():
        np.testing.assert_allclose(u, golden[f"out.{language}"].numpy(), atol=2e-6)


@pytest.mark.parametrize(
    ("listed", "taken"),
    [
        ({WITH_TOKENIZER: FIRST | {"model.safetensors": save(transformers_names())}, WITHOUT: SHARED}, WITH_TOKENIZER),
        ({WITH_TOKENIZER: FIRST | {"pytorch_model.bin": pickled(transformers_names())}, WITHOUT: SHARED}, WITHOUT),
    ],
)
def test_text_comes_from_files_that_the_hub_lists(hub: Hub, listed: dict[str, dict[str, bytes]], taken: str) -> None:
    for name, files in listed.items():
        hub.add(name, files)
    require_official(vectors())
    fetched = {path for _, path, _ in hub.requests if "/resolve/" in path}
    assert fetched == {
        f"/{WITH_TOKENIZER}/resolve/main/sentencepiece.bpe.model",
        f"/{taken}/resolve/main/model.safetensors",
    }
    assert missing("") is None
    before = len(hub.requests)
    require_official(vectors())  # from the cache
    assert len(hub.requests) == before


def test_pickled_weights_are_the_last_choice(hub: Hub) -> None:
    hub.add(WITH_TOKENIZER, FIRST | {"pytorch_model.bin": pickled(transformers_names())})
    hub.add(WITHOUT, OTHERS)
    require_official(vectors())


def test_without_sentencepiece_the_tokens_come_from_tokenizer_json(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "find_spec", lambda name: None)
    hub.add(WITH_TOKENIZER, FIRST | {"model.safetensors": save(transformers_names())})
    hub.add(WITHOUT, SHARED)
    require_official(vectors())
    assert not any("sentencepiece" in path for path in hub.fetched())


def test_both_tokenizers_give_the_same_ids(tmp_path: Path) -> None:
    for name, content in TOKENIZER.items():
        (tmp_path / name).write_bytes(content)
    ours = SonarTokenizer(tmp_path / "sentencepiece.bpe.model", LANGUAGES)
    fast = FastTokenizer(tmp_path / "tokenizer.json", LANGUAGES)
    odd = ["", "  two  spaces ", "5 ☃ of 日本", "</s> is <s>", "eng_Latn", "ﬁne", "the " * 40]
    for language in LANGUAGES:
        for sentence in (*SENTENCES["eng_Latn"], *SENTENCES["deu_Latn"], *odd):
            assert fast([sentence], language) == ours([sentence], language), sentence


def test_nothing_is_downloaded_before_all_is_found(hub: Hub) -> None:
    hub.add(WITH_TOKENIZER, OTHERS)
    hub.add(WITHOUT, SHARED)
    with pytest.raises(UnavailableError) as caught:
        vectors()
    assert f"{WITH_TOKENIZER}/sentencepiece.bpe.model or " in caught.value.message
    assert caught.value.message.endswith("is not on this machine, and the hub does not have it")
    assert "--weights FOLDER" in str(caught.value.hint)
    assert not [path for _, path, _ in hub.requests if "/resolve/" in path]


def test_the_error_tells_why_the_hub_gives_nothing(hub: Hub) -> None:
    with pytest.raises(UnavailableError, match=f"no model '{WITH_TOKENIZER}' on the hub"):
        vectors()
    hub.add(WITH_TOKENIZER, FIRST | {"model.safetensors": save(transformers_names())}, gated=True)
    hub.add(WITHOUT, SHARED)
    with pytest.raises(UnavailableError, match="is gated") as caught:
        vectors()
    assert "--weights FOLDER" in str(caught.value.hint)
    with pytest.raises(UnavailableError, match="--offline forbids the hub"):
        load_encoder("sonar", EncoderOptions(sonar_backend="torch"), offline=True).encode(["Hello."])


@pytest.mark.parametrize(
    ("prefix", "embed"),
    [
        ("", "embed_tokens.weight"),
        ("encoder.", "shared.weight"),
        ("encoder.", "encoder.embed_tokens.weight"),
        ("model.encoder.", "model.shared.weight"),
    ],
)
def test_names_within_a_model(tmp_path: Path, prefix: str, embed: str) -> None:
    others = (
        {"model.decoder.layer_norm.weight": torch.ones(3), "lm_head.weight": torch.ones(3)} if "model" in embed else {}
    )
    save_file(transformers_names(prefix, embed) | others, tmp_path / "a.safetensors")
    expected = {k.removeprefix("model."): v for k, v in load_file(GOLDEN / "text.safetensors").items() if "model." in k}
    read = load_weights(tmp_path / "a.safetensors")
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[key], expected[key]) for key in read)


def test_a_folder_with_downloaded_files(tmp_path: Path) -> None:
    for name, content in (FIRST | {"pytorch_model.bin": pickled(transformers_names())}).items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "sentencepiece.bpe.model").unlink()
    port = Port("cpu", folder=tmp_path, languages=LANGUAGES, heads=4)
    require_official({"eng_Latn": port.text(SENTENCES["eng_Latn"], "eng_Latn")})
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json: not a tokenizer\.json"):
        Port("cpu", folder=tmp_path, languages=LANGUAGES, heads=4).text(["Tea?"], "eng_Latn")
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(UnavailableError, match=r"no \*\.model or tokenizer\.json"):
        Port("cpu", folder=tmp_path, languages=LANGUAGES, heads=4).text(["Tea?"], "eng_Latn")


def speech_by_old_names(scale: float = 1.0) -> bytes:
    """Return the tiny official encoder of speech as its first release names it."""
    official = {
        k.removeprefix("model."): v for k, v in load_file(GOLDEN / "speech.safetensors").items() if "model." in k
    }
    return pickled({"model": {fairseq_name(key): value * scale for key, value in official.items()}})


@pytest.mark.parametrize("language", SONAR_SPEECH)
def test_speech_comes_from_the_file_that_the_official_cards_name(hub: Hub, language: str) -> None:
    cards = {"spenc.eng.pt": {"eng"}, "spenc.v3ap.{}.pt": V3, "spenc.v5ap.{}.pt": {*SONAR_SPEECH} - V3 - {"eng"}}
    (named,) = (name.format(language) for name, languages in cards.items() if language in languages)
    copies = {f"fairseq2_native/sonar_speech_encoder_{language}.pt": b"older"}
    hub.add("facebook/SONAR", {"README.md": b"", named: b"weights"} | copies)
    port = Port("cpu")
    port.find(f"speech {language}")
    assert port.weights == {f"speech {language}": f"sha256:{sha256(b'weights')}"}


def test_speech_vectors_are_those_of_the_official_file(hub: Hub) -> None:
    older = {"fairseq2_native/sonar_speech_encoder_hin.pt": speech_by_old_names(1.5)}
    hub.add("facebook/SONAR", {"spenc.v5ap.hin.pt": speech_by_old_names()} | older)
    golden = load_file(GOLDEN / "speech.safetensors")
    found = Port("cpu").speech([golden[f"wave.{i}"].numpy() for i in range(3)], "hin")
    np.testing.assert_allclose(found, golden["out"].numpy(), atol=1e-4)


def test_copies_are_used_only_if_they_are_the_same(hub: Hub) -> None:
    hub.add("facebook/SONAR", {f"fairseq2_native/sonar_speech_encoder_{x}.pt": b"copy" for x in ("deu", "hin")})
    Port("cpu").find("speech deu")
    with pytest.raises(UnavailableError, match=r"facebook/SONAR/spenc\.v5ap\.hin\.pt is not") as caught:
        Port("cpu").find("speech hin")
    assert "CC-BY-NC-4.0" in str(caught.value.hint)
    with pytest.raises(UnavailableError) as caught:
        Port("cpu", offline=True).find("speech fra")
    assert "(3 GB, MIT)" in str(caught.value.hint)


def test_a_folder_as_the_hub_has_it_gives_the_file_of_the_cards(tmp_path: Path) -> None:
    (tmp_path / "fairseq2_native").mkdir()
    (tmp_path / "fairseq2_native" / "sonar_speech_encoder_hin.pt").write_bytes(b"older")
    (tmp_path / "spenc.v3ap.hin.pt").write_bytes(b"older")
    (tmp_path / "spenc.v5ap.hin.pt").write_bytes(b"weights")
    port = Port("cpu", folder=tmp_path)
    port.find("speech hin")
    assert port.weights == {"speech hin": f"sha256:{sha256(b'weights')}"}
