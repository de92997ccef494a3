"""Audio of every container, rate and channel count becomes mono 16 kHz float32; what is no audio says why."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from flip import audio
from flip.errors import InputError
from sound import tone, write_audio

av = pytest.importorskip("av", reason="the extra `speech` is not installed")
EXAMPLE = Path(__file__).parent.parent / "examples" / "audio.wav"

# suffix -> codec, and a rate that the codec knows
CONTAINERS = {
    ".wav": ("pcm_s16le", 22_050),
    ".flac": ("flac", 48_000),
    ".mp3": ("libmp3lame", 44_100),
    ".m4a": ("aac", 32_000),
    ".ogg": ("libopus", 48_000),
    ".opus": ("libopus", 24_000),
    ".webm": ("libopus", 16_000),
}


def frequency(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * audio.SAMPLE_RATE / len(samples))


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_container_gives_the_same_sound(suffix: str, tmp_path: Path) -> None:
    codec, rate = CONTAINERS[suffix]
    samples = audio.load(write_audio(tmp_path / f"a{suffix}", tone(2, rate)[None], rate, codec))
    assert samples.dtype == np.float32
    assert abs(len(samples) - 2 * audio.SAMPLE_RATE) < 0.1 * audio.SAMPLE_RATE  # codecs pad
    assert frequency(samples) == pytest.approx(440, abs=2)
    assert np.sqrt(np.square(samples[4000:-4000]).mean()) == pytest.approx(0.5 / np.sqrt(2), abs=0.02)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000])
def test_every_rate_is_resampled(rate: int, tmp_path: Path) -> None:
    samples = audio.load(write_audio(tmp_path / "a.wav", tone(1, rate)[None], rate))
    assert abs(len(samples) - audio.SAMPLE_RATE) <= 2
    assert frequency(samples) == pytest.approx(440, abs=2)


def test_stereo_is_mixed_down(tmp_path: Path) -> None:
    left, right = tone(1, 16_000, 440), 0.5 * tone(1, 16_000, 1000)
    samples = audio.load(write_audio(tmp_path / "a.wav", np.stack([left, right]), 16_000))
    np.testing.assert_allclose(samples, (left + right) / 2, atol=2e-4)


def test_blocks_give_all_samples_and_end_in_a_pause(tmp_path: Path) -> None:
    speech = np.tile(np.concatenate([tone(1.7, 16_000), np.zeros(4800, np.float32)]), 12)
    path = write_audio(tmp_path / "a.wav", speech[None], 16_000)
    blocks = list(audio.blocks(path, 7))
    np.testing.assert_array_equal(np.concatenate(blocks), audio.load(path))
    assert all(len(block) <= 7 * audio.SAMPLE_RATE for block in blocks)
    assert all(np.abs(block[-400:]).max() == 0 for block in blocks[:-1])


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", tone(600, 16_000)[None], 16_000, "flac")
    tracemalloc.start()
    total = sum(len(block) for block in audio.blocks(path, 30))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 600 * audio.SAMPLE_RATE
    assert peak < 12e6  # the whole is 38 MB


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not readable audio"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "not readable audio"),
        (b"no audio at all, but quite a few bytes of text" * 50, "not readable audio"),
    ],
)
def test_damaged_files_are_one_clear_error(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        audio.load(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_missing_folder_and_video_without_sound(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        audio.load(tmp_path / "a.wav")
    with pytest.raises(InputError, match="not readable audio"):
        audio.load(tmp_path)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with pytest.raises(InputError, match="no audio in this file"):
        audio.load(tmp_path / "a.mp4")


def test_silent_short_and_nan_audio(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="silent"):
        audio.load(write_audio(tmp_path / "a.wav", np.zeros((1, 16_000)), 16_000))
    with pytest.raises(InputError, match="20 ms of audio, 25 ms are the least"):
        audio.load(write_audio(tmp_path / "b.wav", tone(0.02, 16_000)[None], 16_000))
    bad = tone(1, 16_000)
    bad[100] = np.nan
    with pytest.raises(InputError, match="NaN"):
        audio.load(write_audio(tmp_path / "c.wav", bad[None], 16_000, "pcm_f32le"))


def test_the_example_is_small_and_loud_enough() -> None:
    samples = audio.load(EXAMPLE)
    assert 2 * audio.SAMPLE_RATE < len(samples) < 8 * audio.SAMPLE_RATE
    assert np.abs(samples).max() > 0.1
