"""Compare our SONAR port with the official packages: golden tensors here, both live if `sonar` is installed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from official_sonar import GOLDEN, LANGUAGES, LONGEST, SENTENCES
from safetensors.torch import load_file, save_file

from flip.embedding.job import embed
from flip.encoders import EncoderOptions, load_encoder
from flip.encoders.identity import EmbeddingInfo, common_encoder, describe
from flip.encoders.sonar import Sonar, official
from flip.encoders.sonar.checkpoints import SonarTokenizer, load_weights
from flip.encoders.sonar.modules import SpeechEncoder, TextEncoder, fbank
from flip.encoders.sonar.port import Port, _groups
from flip.errors import InputError, UnavailableError, UsageError
from flip.explain.explainer import Explainer
from flip.files import read_json, sha256
from flip.inputs.record import Record
from flip.model.checkpoint import Checkpoint
from flip.model.config import CheckpointConfig
from flip.model.linear import LogLinear
from flip.text.vocabulary import Vocabulary
from sound import tone, write_audio

pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")


def golden(name: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    weights = {key.removeprefix("model."): value for key, value in tensors.items() if key.startswith("model.")}
    return weights, {key: value for key, value in tensors.items() if not key.startswith("model.")}


def folder(tmp_path: Path) -> Path:
    """Return a folder as --weights takes it, with the tiny official models."""
    for name in ("text", "speech"):
        weights, _ = golden(name)
        file = "sonar_text_encoder" if name == "text" else "sonar_speech_encoder_eng"
        save_file(weights, tmp_path / f"{file}.safetensors")
    (tmp_path / "sentencepiece.source.model").write_bytes((GOLDEN / "tiny.model").read_bytes())
    return tmp_path


def tiny(tmp_path: Path, language: str = "eng_Latn") -> Sonar:
    port = Port("cpu", folder=folder(tmp_path), languages=LANGUAGES, heads=4)
    return Sonar(port, EncoderOptions(language=language))


def other(tmp_path: Path) -> Path:
    """Return the same folder with other weights of the same shapes."""
    tmp_path.mkdir()
    for path in folder(tmp_path).glob("*.safetensors"):
        save_file({key: value * 1.5 for key, value in load_file(path).items()}, path)
    return tmp_path


def small(weights: Path, language: str = "eng_Latn") -> Sonar:
    """Return a tiny encoder that tells its dimension, as `flip embed` needs it."""
    sonar = Sonar(Port("cpu", folder=weights, languages=LANGUAGES, heads=4), EncoderOptions(language=language))
    sonar.dimension = 32
    return sonar


def text_encoder(weights: dict[str, torch.Tensor]) -> TextEncoder:
    return TextEncoder(weights, heads=4, longest=LONGEST)


def encoded(encoder: TextEncoder, rows: list[list[int]]) -> torch.Tensor:
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
    for line, row in zip(ids, rows, strict=True):
        line[: len(row)] = torch.tensor(row)
    with torch.inference_mode():
        return encoder(ids, lengths)


def test_tokens_are_the_official_ones() -> None:
    _, tensors = golden("text")
    tokenizer = SonarTokenizer(GOLDEN / "tiny.model", LANGUAGES)
    for language, sentences in SENTENCES.items():
        expected = [tensors[f"ids.{language}.{i}"].tolist() for i in range(len(sentences))]
        assert tokenizer(sentences, language) == expected


def test_text_vectors_are_the_official_ones() -> None:
    weights, tensors = golden("text")
    encoder = text_encoder(weights)
    for language, sentences in SENTENCES.items():
        rows = [tensors[f"ids.{language}.{i}"].tolist()[:LONGEST] for i in range(len(sentences))]
        expected = tensors[f"out.{language}"]
        torch.testing.assert_close(encoded(encoder, rows), expected, atol=2e-6, rtol=0)


def test_filter_banks_are_the_official_ones() -> None:
    _, tensors = golden("speech")
    for i in range(3):
        torch.testing.assert_close(fbank(tensors[f"wave.{i}"]), tensors[f"fbank.{i}"], atol=2e-4, rtol=0)


def test_speech_vectors_are_the_official_ones(tmp_path: Path) -> None:
    _, tensors = golden("speech")
    port = Port("cpu", folder=folder(tmp_path))
    vectors = port.speech([tensors[f"wave.{i}"].numpy() for i in range(3)], "eng")
    np.testing.assert_allclose(vectors, tensors["out"].numpy(), atol=1e-4)


def test_speech_vectors_on_the_official_filter_banks() -> None:
    weights, tensors = golden("speech")
    encoder = SpeechEncoder(weights)
    for i in range(3):
        features = tensors[f"fbank.{i}"]
        even = features[: len(features) // 2 * 2][None]
        with torch.inference_mode():
            found = encoder(even, torch.tensor([len(features)]))[0]
        expected = tensors["out"][i]
        assert float((found - expected).abs().max()) < 2e-6 * float(expected.abs().max())


def test_weights_by_the_names_of_the_hub(tmp_path: Path) -> None:
    """Compare the vectors of transformers' own encoder with those of our reading of its file."""
    transformers = pytest.importorskip("transformers", reason="the extra `st` is not installed")
    from transformers.models.m2m_100.modeling_m2m_100 import M2M100Encoder

    config = transformers.M2M100Config(
        vocab_size=407, d_model=32, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=64,
        max_position_embeddings=LONGEST, activation_function="relu", scale_embedding=True,
        dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, encoder_layerdrop=0.0, pad_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = M2M100Encoder(config).eval()
    save_file({k: v.contiguous() for k, v in theirs.state_dict().items()}, tmp_path / "model.safetensors")
    ours = text_encoder(load_weights(tmp_path / "model.safetensors"))
    rows = [[402, 17, 250, 33, 3], [403, 9, 3]]
    # The control tokens have other numbers there: end is 2, padding 1.
    ids = torch.tensor([[402, 17, 250, 33, 2], [403, 9, 2, 1, 1]])
    mask = (ids != 1).long()
    with torch.inference_mode():
        hidden = theirs(input_ids=ids, attention_mask=mask).last_hidden_state
    expected = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    torch.testing.assert_close(encoded(ours, rows), expected, atol=2e-6, rtol=0)


_FAIRSEQ = {
    "encoder_frontend.post_extract_layer_norm.": "encoder.w2v_model.layer_norm.",
    "encoder_frontend.model_dim_proj.": "encoder.w2v_model.post_extract_proj.",
    "encoder_pooler.decoder_frontend.embed.": "decoder.embed_tokens.",
    "encoder_pooler.projection_out.weight": "decoder.embed_out",
    "encoder_pooler.decoder.layers.": "decoder.layers.",
    "encoder_decoder_attn": "encoder_attn",
    "ffn.inner_proj.": "fc1.",
    "ffn.output_proj.": "fc2.",
    "ffn_layer_norm.": "final_layer_norm.",
}


def fairseq_name(key: str) -> str:
    if key.startswith("layer_norm."):
        return "encoder.w2v_model.encoder." + key
    if key.startswith("encoder.layers."):
        key = "encoder.w2v_model." + key
        for new, old in (
            ("conv_layer_norm.", "conv_module.layer_norm."), (".conv.", ".conv_module."),
            ("ffn1_layer_norm.", "ffn1.layer_norm."), ("ffn2_layer_norm.", "ffn2.layer_norm."),
            ("inner_proj.", "w_1."), ("sdpa.r_proj.", "linear_pos."), ("sdpa.u_bias", "pos_bias_u"),
            ("sdpa.v_bias", "pos_bias_v"), ("self_attn.output_proj.", "self_attn.linear_out."),
            ("output_proj.", "w_2."), ("q_proj.", "linear_q."), ("k_proj.", "linear_k."), ("v_proj.", "linear_v."),
        ):  # fmt: skip
            key = key.replace(new, old)
        head, _, tail = key.partition("layers.")
        number, _, rest = tail.partition(".")
        return (
            f"{head}layers.{number}.{rest.replace('layer_norm.', 'final_layer_norm.', 1)}"
            if rest.startswith("layer_norm.")
            else key
        )
    for new, old in _FAIRSEQ.items():
        key = key.replace(new, old)
    return key.replace("attn.output_proj.", "attn.out_proj.")


def test_weights_by_the_names_of_the_first_release(tmp_path: Path) -> None:
    weights, _ = golden("speech")
    old = {fairseq_name(key): value for key, value in weights.items()}
    assert not set(old) & set(weights)
    old["encoder.w2v_model.mask_emb"] = torch.zeros(3)
    torch.save({"model": old}, tmp_path / "spenc.eng.pt")
    read = load_weights(tmp_path / "spenc.eng.pt")
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[key], weights[key]) for key in weights)


def test_text_weights_by_the_names_of_the_first_release(tmp_path: Path) -> None:
    """Write layers without a prefix, the embedding as a module beside them, control tokens in fairseq's order."""
    weights, _ = golden("text")
    old = {}
    for key, value in weights.items():
        for new, name in (
            ("encoder.layers.", "layers."), ("output_proj.", "out_proj."), ("ffn.inner_proj.", "fc1."),
            ("ffn.out_proj.", "fc2."), ("ffn_layer_norm.", "final_layer_norm."),
        ):  # fmt: skip
            key = key.replace(new, name)
        old[key] = value
    embed = old.pop("encoder_frontend.embed.weight").clone()
    embed[:4] = embed[[2, 0, 3, 1]]
    old |= {"version": torch.ones(1), "embed_positions._float_tensor": torch.ones(1)}
    assert "layers.0.fc2.weight" in old
    module = torch.nn.Embedding.from_pretrained(embed)
    for content in (
        {"state_dict": old, "embed_tokens": module},
        {"state_dict": old | {"embed_tokens.weight": embed}},
        {"model": {"state_dict": old, "embed_tokens": module}},
    ):
        torch.save(content, tmp_path / "sonar_text_encoder.pt")
        read = load_weights(tmp_path / "sonar_text_encoder.pt")
        assert read.keys() == weights.keys()
        assert all(torch.equal(read[key], weights[key]) for key in weights)


@pytest.mark.parametrize("wrapped", [True, False])
def test_weights_of_the_native_release(wrapped: bool, tmp_path: Path) -> None:
    weights, _ = golden("text")
    torch.save({"model": weights} if wrapped else weights, tmp_path / "a.pt")
    assert load_weights(tmp_path / "a.pt").keys() == weights.keys()


def test_files_other_than_weights(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.zeros(2)}}, tmp_path / "a.pt")
    with pytest.raises(InputError, match="not a SONAR encoder"):
        load_weights(tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"b\.pt: (not a readable checkpoint|holds more than tensors)"):
        load_weights(tmp_path / "b.pt")
    torch.save({"model": Path("x")}, tmp_path / "c.pt")
    with pytest.raises(InputError, match="holds more than tensors"):
        load_weights(tmp_path / "c.pt")


def test_a_row_does_not_depend_on_its_neighbours(tmp_path: Path) -> None:
    sonar = tiny(tmp_path)
    rng = np.random.default_rng(0)
    paths: list[str | Path] = [
        write_audio(tmp_path / f"{i}.wav", 0.1 * rng.standard_normal((1, 5_000 + 16_000 * i)), 16_000) for i in range(3)
    ]
    batch = [*SENTENCES["eng_Latn"], *paths]
    together = sonar.encode(batch)
    assert together.dtype == np.float32
    alone = np.concatenate([sonar.encode([item]) for item in batch])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_long_recordings_are_a_weighted_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sonar = tiny(tmp_path)
    monkeypatch.setattr("flip.encoders.sonar._LONGEST", 2.0)
    rng = np.random.default_rng(0)
    wave = 0.1 * rng.standard_normal(5 * 16_000)
    path = write_audio(tmp_path / "long.wav", wave[None], 16_000, "pcm_f32le")
    from flip.inputs import audio

    blocks = list(audio.blocks(path, 2.0))
    assert len(blocks) > 2
    parts = sonar._backend.speech(blocks, "eng")
    expected = np.average(parts, axis=0, weights=[len(block) for block in blocks])
    np.testing.assert_allclose(sonar.encode([path])[0], expected, atol=1e-5)


def test_stereo_and_other_rates(tmp_path: Path) -> None:
    sonar = tiny(tmp_path)
    wave = 0.2 * np.random.default_rng(1).standard_normal(32_000)
    mono = write_audio(tmp_path / "mono.wav", wave[None], 16_000, "pcm_f32le")
    stereo = write_audio(tmp_path / "stereo.wav", np.stack([wave, wave]), 16_000, "pcm_f32le")
    one, two = sonar.encode([mono, stereo])
    np.testing.assert_allclose(one, two, atol=1e-5)
    assert np.isfinite(sonar.encode([write_audio(tmp_path / "8k.wav", tone(1, 8_000)[None], 8_000)])).all()


def test_silence_and_short_recordings(tmp_path: Path) -> None:
    sonar = tiny(tmp_path)
    with pytest.raises(InputError, match="silent"):
        sonar.encode([write_audio(tmp_path / "a.wav", np.zeros((1, 16_000)), 16_000)])
    with pytest.raises(InputError, match="at least 25 ms are needed"):
        sonar.encode([write_audio(tmp_path / "b.wav", tone(0.02, 16_000)[None], 16_000)])
    constant = write_audio(tmp_path / "c.wav", np.full((1, 16_000), 0.5), 16_000)
    with pytest.raises(InputError, match="no sound that the encoder can use"):
        sonar.encode([constant])


def test_truncation_is_reported(tmp_path: Path) -> None:
    sonar = tiny(tmp_path, "fra_Latn")
    whole, read = sonar.read_to(["Le train.", "the " * 600])
    assert whole is None
    assert read is not None
    count = sonar._backend.tokens
    assert count([("the " * 600)[:read]], "fra_Latn")[0] <= 514 < count([("the " * 600)[: read + 4]], "fra_Latn")[0]


def test_languages(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        tiny(tmp_path, "eng_Lat").encode(["Hello."])
    assert caught.value.message == "sonar: unknown language 'eng_Lat'"
    assert "eng_Latn" in str(caught.value.hint)
    with pytest.raises(UsageError, match="sonar speech: unknown language 'xho'"):
        tiny(tmp_path, "xho_Latn").encode([write_audio(tmp_path / "a.wav", tone(1, 16_000)[None], 16_000)])


def test_half_precision_stays_close(tmp_path: Path) -> None:
    exact = Port("cpu", folder=folder(tmp_path), languages=LANGUAGES, heads=4).text(SENTENCES["eng_Latn"], "eng_Latn")
    half = Port("cpu", "bfloat16", folder=tmp_path, languages=LANGUAGES, heads=4).text(
        SENTENCES["eng_Latn"], "eng_Latn"
    )
    cosine = (exact * half).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(half, axis=1)
    assert cosine.min() > 0.999


def test_groups_are_sorted_and_within_the_budget() -> None:
    lengths = [5, 1, 9, 3, 3, 40]
    groups = list(_groups(lengths, 12, power=1))
    assert sorted(i for group in groups for i in group) == list(range(6))
    assert all(len(group) == 1 or len(group) * max(lengths[i] for i in group) <= 12 for group in groups)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        UnavailableError, match=r"SONAR_200_text_encoder/model\.safetensors or .* is not on this machine"
    ) as caught:
        load_encoder("sonar", EncoderOptions(sonar_backend="torch"), offline=True).encode(["Hello."])
    assert "--weights FOLDER" in str(caught.value.hint)
    with pytest.raises(UnavailableError, match=r"no model\.safetensors"):
        load_encoder("sonar", EncoderOptions(weights=tmp_path)).encode(["Hello."])
    if find_spec("sonar") is None:
        with pytest.raises(UnavailableError, match="sonar-space cannot be used"):
            load_encoder("sonar", EncoderOptions(sonar_backend="official"))
    with pytest.raises(UsageError, match="--weights is not for sonar-space"):
        load_encoder("sonar", EncoderOptions(sonar_backend="official", weights=tmp_path))


def test_weights_are_known_before_anything_is_loaded(tmp_path: Path) -> None:
    sonar = tiny(tmp_path)
    found = sonar.weights_of({"text"})
    assert found == {"text": f"sha256:{sha256(tmp_path / 'sonar_text_encoder.safetensors')}"}
    assert sonar.weights_of({"text", "speech"}) == sonar.weights
    assert sonar.weights.keys() == {"text", "speech eng"}
    backend = official.Official("cpu")
    assert Sonar(backend, EncoderOptions()).weights_of({"text"}) == {"text": "sonar-space text_sonar_basic_encoder"}


def test_other_weights_are_another_encoder_for_an_embedding_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    a, b = folder(tmp_path / "a"), other(tmp_path / "b")
    output = tmp_path / "o.npy"
    texts = [Record(where="", text=text) for text in SENTENCES["eng_Latn"]]
    embed(texts, output, small(a))
    first = np.load(output)
    assert not embed(texts, output, small(a)).fresh
    with pytest.raises(InputError, match="exists and was made from other input, weights or options"):
        embed(texts, output, small(b))
    assert embed(texts, output, small(b), force=True).fresh
    assert not np.allclose(np.load(output), first)


def test_a_run_that_was_interrupted_does_not_go_on_with_other_weights(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    a, b = folder(tmp_path / "a"), other(tmp_path / "b")
    texts = [Record(where="", text=text) for text in SENTENCES["eng_Latn"]]
    stopped = small(a)
    encode, calls = stopped.encode, []

    def interrupted(batch: Sequence[str | Path]) -> np.ndarray:
        calls.append(batch)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return encode(batch)

    stopped.encode = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        embed(texts, tmp_path / "o.npy", stopped, batch_size=1)
    assert embed(texts, tmp_path / "o.npy", small(b), batch_size=1).resumed == 0
    np.testing.assert_allclose(np.load(tmp_path / "o.npy"), small(b).encode([t.text or "" for t in texts]), atol=1e-5)


def test_each_file_names_the_weights_that_made_it(tmp_path: Path) -> None:
    sonar = small(folder(tmp_path))
    recording = write_audio(tmp_path / "a.wav", tone(1, 16_000)[None], 16_000)
    embed([Record(where="", audio=recording, text="A tone.")], tmp_path / "speech.npy", sonar)
    embed([Record(where="", text="A tone.")], tmp_path / "text.npy", sonar)
    described = {name: read_json(tmp_path / f"{name}.json") for name in ("speech", "text")}
    assert described["speech"]["weights"].keys() == {"speech eng"}
    assert described["text"]["weights"].keys() == {"text"}
    encoders = [EmbeddingInfo.read(tmp_path / f"{name}.npy").encoder for name in described]
    assert common_encoder(encoders, "x").weights == sonar.weights


def test_explaining_with_other_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    a, b = small(folder(tmp_path / "a")), small(other(tmp_path / "b"))
    recording = write_audio(tmp_path / "a.wav", tone(1, 16_000)[None], 16_000)
    model = LogLinear(np.ones((2, 32), np.float32), np.zeros(2, np.float32))

    def explained(encoder: Sonar, record: Record, *modalities: str) -> dict[str, Any]:
        config = CheckpointConfig(encoder=describe(a, modalities))
        checkpoint = Checkpoint(model, Vocabulary(("rain", "tea")), config, "tiny")
        (result,) = Explainer(checkpoint, lambda: encoder).stream([record])
        return result.to_dict()

    spoken, written = Record(where="", audio=recording), Record(where="", text="The rain stopped.")
    assert explained(a, written, "text")["keywords"]
    assert explained(a, spoken, "text", "speech")["keywords"]
    assert explained(b, spoken, "text")["keywords"]  # the encoder of the speech of the training is not known
    with pytest.raises(InputError, match="would be embedded with text weights sha256:"):
        explained(b, written, "text")
    with pytest.raises(InputError, match="would be embedded with speech eng weights sha256:"):
        explained(b, spoken, "speech")


@pytest.mark.sonar
def test_port_and_official_pipelines_side_by_side(tmp_path: Path) -> None:
    if why := official.unavailable():
        command = GOLDEN.parent / "sonar_environment.sh"
        environment = Path(os.environ.get("SONAR_ENVIRONMENT", GOLDEN.parents[3] / ".sonar-environment"))
        if not (environment / "bin" / "pytest").is_file():
            pytest.skip(f"{why}; tests/encoders/sonar_environment.sh makes an environment, in which this then runs")
        done = subprocess.run(["sh", str(command), "-q", "-k", "side_by_side"], capture_output=True, text=True)
        assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
        return
    import official_sonar as made
    from sonar.inference_pipelines.speech import SpeechToEmbeddingModelPipeline
    from sonar.inference_pipelines.text import TextToEmbeddingModelPipeline

    spm = GOLDEN / "tiny.model"
    text, speech = made.text_model(407), made.speech_model()
    save_file(text.state_dict(), tmp_path / "sonar_text_encoder.safetensors")
    save_file(speech.state_dict(), tmp_path / "sonar_speech_encoder_eng.safetensors")
    (tmp_path / "tiny.model").write_bytes(spm.read_bytes())
    cpu = torch.device("cpu")
    theirs = official.Official(
        "cpu",
        load_text=lambda: TextToEmbeddingModelPipeline(text, made.tokenizer(spm), device=cpu),
        load_speech=lambda language: SpeechToEmbeddingModelPipeline(speech, device=cpu),
    )
    ours = Port("cpu", folder=tmp_path, languages=LANGUAGES, heads=4)
    for language in ("eng_Latn", "deu_Latn"):
        sentences = SENTENCES[language]
        assert theirs.tokens(sentences, language) == ours.tokens(sentences, language)
        np.testing.assert_allclose(theirs.text(sentences, language), ours.text(sentences, language), atol=2e-6)
    waves = [wave.numpy() for wave in made.waves()]
    np.testing.assert_allclose(theirs.speech(waves, "eng"), ours.speech(waves, "eng"), atol=1e-4)
