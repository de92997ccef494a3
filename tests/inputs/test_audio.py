"""Audio of every container, rate and channel count becomes mono 16 kHz float32; other files are clear errors."""

from __future__ import annotations

import os
import re
import socket
import threading
import tracemalloc
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from flip.errors import InputError
from flip.inputs import audio
from sound import tone, write_audio

av = pytest.importorskip("av", reason="the extra `speech` is not installed")
EXAMPLE = Path(__file__).parents[2] / "examples" / "audio.wav"

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


@pytest.mark.slow
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
    with pytest.raises(InputError, match="20 ms of audio, at least 25 ms are needed"):
        audio.load(write_audio(tmp_path / "b.wav", tone(0.02, 16_000)[None], 16_000))
    bad = tone(1, 16_000)
    bad[100] = np.nan
    with pytest.raises(InputError, match="NaN"):
        audio.load(write_audio(tmp_path / "c.wav", bad[None], 16_000, "pcm_f32le"))


def test_the_example_is_small_and_loud_enough() -> None:
    samples = audio.load(EXAMPLE)
    assert 2 * audio.SAMPLE_RATE < len(samples) < 8 * audio.SAMPLE_RATE
    assert np.abs(samples).max() > 0.1


def notes_of(path: Path) -> tuple[float, list[str]]:
    """Return the seconds that are decoded, and the notes on the rest."""
    with audio.noted() as notes:
        return len(audio.load(path)) / audio.SAMPLE_RATE, notes


def write_channels(path: Path, channels: np.ndarray, rate: int = 16_000) -> Path:
    """Write a WAV of any number of channels."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((channels.T * 32767).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("count", [1, 3, 6, 7, 8, 9, 16, 64])
def test_any_number_of_channels_is_mixed_down(count: int, tmp_path: Path) -> None:
    samples = audio.load(write_channels(tmp_path / "a.wav", np.repeat(tone(1, 16_000)[None], count, axis=0)))
    np.testing.assert_allclose(samples, tone(1, 16_000), atol=2e-4)


@pytest.mark.parametrize(("suffix", "codec"), [(".flac", "flac"), (".mka", "libopus"), (".m4a", "aac")])
def test_eight_planar_channels_do_not_end_the_process(suffix: str, codec: str, tmp_path: Path) -> None:
    packed = np.repeat(tone(1, 48_000), 8)[None]
    with av.open(str(tmp_path / f"a{suffix}"), "w") as container:
        stream = container.add_stream(codec, rate=48_000, layout="7.1")
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout="7.1")
        frame.sample_rate = 48_000
        resampler = av.AudioResampler(stream.format, "7.1", 48_000, frame_size=stream.frame_size or None)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    assert frequency(audio.load(tmp_path / f"a{suffix}")) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("count", [65, 128, 255])
def test_more_channels_than_ffmpeg_filters_are_an_error(count: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{count} channels; 64 are the most"):
        audio.load(write_channels(tmp_path / "a.wav", np.zeros((count, 1600))))


def test_channels_in_antiphase_do_not_vanish(tmp_path: Path) -> None:
    left = tone(2, 16_000)
    seconds, notes = notes_of(write_channels(tmp_path / "a.wav", np.stack([left, -left])))
    assert seconds == 2
    assert notes == [f"{tmp_path}/a.wav: its channels cancel each other out for 2.0 s; there channel 1 was taken"]
    assert frequency(audio.load(tmp_path / "a.wav")) == pytest.approx(440, abs=2)
    for others in ([tone(2, 16_000, 1000)], [np.zeros_like(left)] * 30):  # unlike, or silent: nothing cancels
        assert notes_of(write_channels(tmp_path / "b.wav", np.stack([left, *others])))[1] == []


def test_damaged_parts_are_left_out_and_reported(tmp_path: Path) -> None:
    content = bytearray(write_audio(tmp_path / "a.mp3", tone(4, 44_100)[None], 44_100, "libmp3lame").read_bytes())
    assert notes_of(tmp_path / "a.mp3") == (pytest.approx(4, abs=0.1), [])
    content[9000:10_500] = bytes(1500)
    (tmp_path / "a.mp3").write_bytes(content)
    seconds, [note] = notes_of(tmp_path / "a.mp3")
    assert 3 < seconds < 4
    assert re.search(r"a\.mp3: \d damaged parts? left out \(\d+ bytes\); 3\.\d\d s were decoded", note)
    content = bytearray(write_audio(tmp_path / "a.flac", tone(4, 16_000)[None], 16_000, "flac").read_bytes())
    content[30_000:30_400] = bytes(400)
    (tmp_path / "a.flac").write_bytes(content)
    seconds, [note] = notes_of(tmp_path / "a.flac")
    assert 3.5 < seconds < 4
    assert "s of 4.00 s are there" in note


def test_files_that_are_cut_short_are_reported(tmp_path: Path) -> None:
    for suffix, codec in ((".wav", "pcm_s16le"), (".flac", "flac")):
        path = write_audio(tmp_path / f"a{suffix}", tone(4, 16_000)[None], 16_000, codec)
        assert notes_of(path) == (4, [])
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        seconds, [note] = notes_of(path)
        assert 1 < seconds < 3
        assert "cut short: " in note or "s of 4.00 s are there" in note


@pytest.mark.parametrize(("rate", "channels"), [(22_050, 1), (48_000, 2), (44_100, 2)])
def test_joined_files_of_other_rates_are_decoded_to_the_end(rate: int, channels: int, tmp_path: Path) -> None:
    first = write_audio(tmp_path / "a.mp3", tone(2, 44_100)[None], 44_100, "libmp3lame").read_bytes()
    sound = np.repeat(tone(2, rate, 880)[None], channels, axis=0)
    second = write_audio(tmp_path / "b.mp3", sound, rate, "libmp3lame").read_bytes()
    (tmp_path / "c.mp3").write_bytes(first + second)
    samples = audio.load(tmp_path / "c.mp3")
    assert len(samples) == pytest.approx(4 * audio.SAMPLE_RATE, rel=0.05)
    assert frequency(samples[:30_000]) == pytest.approx(440, abs=3)
    assert frequency(samples[-30_000:]) == pytest.approx(880, abs=3)


def test_a_second_wav_in_the_same_file_is_reported(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", tone(1, 16_000)[None], 16_000)
    path.write_bytes(path.read_bytes() * 2)
    assert notes_of(path) == (1, [f"{path}: another recording follows in this file and was left out"])


def test_the_sound_of_films_is_read(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mov", "a.mkv", "a.avi"):
        with av.open(str(tmp_path / name), "w") as container:
            pictures = container.add_stream("mpeg4", rate=24)
            pictures.width = pictures.height = 64
            pictures.pix_fmt = "yuv420p"
            sound = container.add_stream("aac" if name != "a.avi" else "libmp3lame", rate=44_100, layout="mono")
            for _ in range(24):
                frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
                container.mux(pictures.encode(frame))
            container.mux(pictures.encode(None))
            frame = av.AudioFrame.from_ndarray(tone(1, 44_100)[None], format="fltp", layout="mono")
            frame.sample_rate = 44_100
            resampler = av.AudioResampler(sound.format, "mono", 44_100, frame_size=sound.frame_size or None)
            for piece in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(sound.encode(piece))
            container.mux(sound.encode(None))
        assert frequency(
            audio.load((tmp_path / name).rename(tmp_path / f"{name[2:]} without ending"))
        ) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("rate", [1, 3_999, 384_001, 6_800_000])
def test_impossible_sample_rates_are_refused(rate: int, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", tone(1, 16_000)[None], 16_000)
    content = bytearray(path.read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"a.wav: {rate} samples a second; from 4000 to 384000 are read"):
        audio.load(path)


def test_no_file_makes_ffmpeg_open_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Playlists, concat scripts and addresses: refused, and nobody is asked."""
    asked = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def answer() -> None:
        with suppress(OSError):
            server.accept()
            asked.set()

    threading.Thread(target=answer, daemon=True).start()
    monkeypatch.chdir(tmp_path)
    secret = write_audio(tmp_path / "secret.wav", tone(1, 16_000)[None], 16_000)
    address = f"http://127.0.0.1:{port}/a.ts"
    contents = {
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n#EXT-X-ENDLIST\n",
        "a.wav": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n",
        "a.mp3": "ffconcat version 1.0\nfile secret.wav\n",
        "a.flac": f"ffconcat version 1.0\nfile '{address}'\n",
        "a.sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
        "a.mpd": f'<?xml version="1.0"?><MPD><Period><BaseURL>{address}</BaseURL></Period></MPD>',
    }
    for name, content in contents.items():
        Path(name).write_text(content)
        with pytest.raises(InputError, match=f"{name}: not readable audio"):
            audio.load(Path(name))
    for name in (
        address,
        f"tcp://127.0.0.1:{port}",
        f"concat:{secret}",
        f"subfile,,start,0,end,0,,:{secret}",
        "file:a.wav",
    ):
        with pytest.raises(InputError, match="no such file"):
            audio.load(Path(name))
    os.mkfifo("pipe")
    for name in ("pipe", "/dev/zero"):
        with pytest.raises(InputError, match="not a regular file"):
            audio.load(Path(name))
    Path(f"concat:{secret.name}").write_bytes(secret.read_bytes())  # a file may be called so
    assert len(audio.load(Path(f"concat:{secret.name}"))) == audio.SAMPLE_RATE
    server.close()
    assert not asked.is_set()


def test_tags_in_another_encoding_are_ignored(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.mp3", tone(1, 44_100)[None], 44_100, "libmp3lame")
    frame = b"TIT2" + (5).to_bytes(4, "big") + b"\x00\x00\x03caf\xe9"  # declares UTF-8
    path.write_bytes(b"ID3\x04\x00\x00" + bytes([0, 0, 0, len(frame)]) + frame + path.read_bytes())
    assert len(audio.load(path)) == pytest.approx(audio.SAMPLE_RATE, rel=0.1)
