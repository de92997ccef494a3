"""Tiny random SONAR models built and run by the official packages; run as a script, it writes the golden tensors.

In an environment with the extra `sonar` (see tests/encoders/sonar_environment.sh):
    python tests/encoders/official_sonar.py
writes tests/encoders/golden/: tiny.model (sentencepiece), text.safetensors and speech.safetensors with the weights
under `model.` and inputs and outputs beside them.
"""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch

GOLDEN = Path(__file__).parent / "golden"
LANGUAGES = ["deu_Latn", "eng_Latn", "fra_Latn"]
SENTENCES = {
    "eng_Latn": ["The rain stopped.", "My grandmother keeps her old letters in a wooden box.", "Tea?"],
    "deu_Latn": ["Der Zug nach Hamburg war verspätet.", "Ja."],
    "fra_Latn": ["the " * 200],  # longer than the encoder reads
}
LONGEST = 64


def load_libsndfile() -> None:
    """Load libsndfile from the soundfile wheel, in case the system lacks the one that fairseq2 needs."""
    spec = importlib.util.find_spec("_soundfile_data")
    if spec and spec.submodule_search_locations:
        for path in Path(spec.submodule_search_locations[0]).glob("libsndfile*.so"):
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def randomized(model: torch.nn.Module, seed: int) -> Any:
    """Every weight away from its initial value, norms and running statistics too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.randn(tensor.shape, generator=generator)
                if name.endswith("running_var"):
                    tensor.copy_(noise.abs() + 0.5)
                elif "norm" in name and name.endswith("weight"):
                    tensor.copy_(1 + 0.3 * noise)
                else:
                    tensor.copy_(0.3 * noise)
    return model.eval()


def text_model(vocabulary: int) -> Any:
    from fairseq2.data.tokenizers import VocabularyInfo
    from sonar.models.sonar_text.config import SonarTextEncoderConfig
    from sonar.models.sonar_text.factory import SonarTextEncoderFactory

    config = SonarTextEncoderConfig(
        model_dim=32,
        max_seq_len=LONGEST - 2,  # the factory adds 2
        vocab_info=VocabularyInfo(size=vocabulary, unk_idx=1, bos_idx=2, eos_idx=3, pad_idx=1),
        num_encoder_layers=2,
        num_decoder_layers=2,
        num_encoder_attn_heads=4,
        num_decoder_attn_heads=4,
        ffn_inner_dim=64,
        pooling="mean",
        _from_fairseq=True,
    )
    return randomized(SonarTextEncoderFactory(config).create_model(), 0)


def speech_model(
    d: int = 32, layers: int = 2, heads: int = 4, inner: int = 64, kernel: int = 7, longest: int = 512, pooler: int = 2
) -> Any:
    """Return the tiny model of the golden tensors, or one of another size."""
    from fairseq2.models.transformer import TransformerNormOrder
    from fairseq2.models.wav2vec2 import Wav2Vec2EncoderConfig
    from sonar.models.sonar_speech.config import SonarSpeechEncoderConfig
    from sonar.models.sonar_speech.factory import SonarSpeechEncoderFactory

    encoder = Wav2Vec2EncoderConfig(
        model_dim=d,
        max_seq_len=longest,
        feature_dim=160,
        use_fbank=True,
        num_fbank_channels=80,
        fbank_stride=2,
        sample_fbank_every_k=1,
        pos_encoder_type="relative",
        num_encoder_layers=layers,
        num_encoder_attn_heads=heads,
        ffn_inner_dim=inner,
        layer_norm_features=False,
        use_conformer=True,
        depthwise_conv_kernel_size=kernel,
        dropout_p=0.0,
        attn_dropout_p=0.0,
        ffn_inner_dropout_p=0.0,
        first_pass_dropout_p=0.0,
        layer_drop_p=0.0,
    )
    config = SonarSpeechEncoderConfig(
        w2v2_encoder_config=encoder,
        final_dropout_p=0.1,
        model_dim=d,
        max_seq_len=1024,
        pad_idx=1,
        bos_idx=2,
        num_decoder_layers=pooler,
        num_decoder_attn_heads=heads,
        decoder_norm_order=TransformerNormOrder.POST,
        ffn_inner_dim=inner,
        dropout_p=0.1,
    )
    return randomized(SonarSpeechEncoderFactory(config).create_model(), 1)


def tokenizer(model: Path) -> Any:
    from fairseq2.models.nllb.tokenizer import NllbTokenizerConfig, load_nllb_tokenizer

    return load_nllb_tokenizer(model, NllbTokenizerConfig(langs=LANGUAGES, default_lang="eng_Latn"))


def text_embeddings(model: Any, spm: Path) -> dict[str, torch.Tensor]:
    from sonar.inference_pipelines.text import TextToEmbeddingModelPipeline

    pipeline = TextToEmbeddingModelPipeline(model, tokenizer(spm), device=torch.device("cpu"))
    return {lang: pipeline.predict(texts, source_lang=lang) for lang, texts in SENTENCES.items()}


def speech_embeddings(model: Any, waves: list[torch.Tensor]) -> torch.Tensor:
    from sonar.inference_pipelines.speech import SpeechToEmbeddingModelPipeline

    pipeline = SpeechToEmbeddingModelPipeline(model, device=torch.device("cpu"))
    return pipeline.predict([wave[None] for wave in waves], batch_size=len(waves))


def fbank(wave: torch.Tensor) -> torch.Tensor:
    from fairseq2.data.audio import WaveformToFbankConverter

    converter = WaveformToFbankConverter(num_mel_bins=80, waveform_scale=2**15, channel_last=True, standardize=True)
    return converter({"waveform": wave[:, None], "sample_rate": 16000.0, "format": -1})["fbank"]


def waves() -> list[torch.Tensor]:
    """Noise that swells and falls under a few tones, of three lengths."""
    rng = np.random.default_rng(0)
    made = []
    for n in (7000, 12345, 20000):
        t = np.arange(n) / 16_000
        tones = sum(np.sin(2 * np.pi * f * t) for f in (180, 700, 2300))
        made.append((0.1 * tones + 0.05 * rng.standard_normal(n)) * np.abs(np.sin(3 * t)))
    return [torch.from_numpy(wave.astype(np.float32)) for wave in made]


def main() -> None:
    load_libsndfile()
    import sentencepiece
    from safetensors.torch import save_file

    GOLDEN.mkdir(exist_ok=True)
    corpus = Path(__file__).parents[2] / "examples" / "quickstart" / "train.txt"
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(GOLDEN / "tiny"), vocab_size=400, model_type="bpe", minloglevel=2
    )
    (GOLDEN / "tiny.vocab").unlink()
    spm = GOLDEN / "tiny.model"
    with torch.inference_mode():
        text = text_model(tokenizer(spm).vocab_info.size)
        encoded = {
            f"ids.{lang}.{i}": tokenizer(spm).create_encoder(lang=lang)(sentence)
            for lang, sentences in SENTENCES.items()
            for i, sentence in enumerate(sentences)
        }
        outputs = {f"out.{lang}": vectors for lang, vectors in text_embeddings(text, spm).items()}
        weights = {f"model.{key}": value for key, value in text.state_dict().items()}
        save_file({k: v.contiguous() for k, v in (weights | encoded | outputs).items()}, GOLDEN / "text.safetensors")
        speech = speech_model()
        weights = {f"model.{key}": value for key, value in speech.state_dict().items()}
        inputs = {f"wave.{i}": wave for i, wave in enumerate(waves())}
        banks = {f"fbank.{i}": fbank(wave) for i, wave in enumerate(waves())}
        outputs = {"out": speech_embeddings(speech, waves())}
        save_file(
            {k: v.contiguous() for k, v in (weights | inputs | banks | outputs).items()},
            GOLDEN / "speech.safetensors",
        )


if __name__ == "__main__":
    main()
