"""Compute log mel filter banks as Kaldi does, standardised over time: the input of SONAR's speech encoders."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

_RATE, _FRAME, _SHIFT, _FFT, _MELS = 16_000, 400, 160, 512, 80
_LOWEST_HERTZ = 20.0
_PREEMPHASIS = 0.97
_SCALE = 2.0**15  # Kaldi's samples are 16-bit integers


def fbank(wave: Tensor) -> Tensor:
    """Return the filter banks of one recording.

    Args:
        wave: (samples,) float32 in [-1, 1] at 16 kHz, at least 400 of them.

    Returns:
        (frames, 80), a frame every 10 ms of 25 ms each, each bin with mean 0 and (unbiased) variance 1 over time.
    """
    frames = (wave.float() * _SCALE).unfold(0, _FRAME, _SHIFT)
    frames = frames - frames.mean(dim=1, keepdim=True)
    before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
    frames = (frames - _PREEMPHASIS * before) * _povey_window().to(wave.device)
    power = torch.fft.rfft(frames, _FFT).abs().square()
    mel = power @ _mel_filters().to(wave.device)
    logs = mel.clamp_min(torch.finfo(torch.float32).eps).log()
    return (logs - logs.mean(dim=0)) / logs.std(dim=0)


@cache
def _povey_window() -> Tensor:
    return torch.hann_window(_FRAME, periodic=False, dtype=torch.float64).pow(0.85).float()


@cache
def _mel_filters() -> Tensor:
    """Return triangles that are equally wide in mels, from 20 Hz to the Nyquist frequency: (257, 80)."""

    def mel(hertz: Tensor) -> Tensor:
        return 1127 * torch.log1p(hertz / 700)

    limits = mel(torch.tensor([_LOWEST_HERTZ, _RATE / 2], dtype=torch.float64))
    edges = torch.linspace(float(limits[0]), float(limits[1]), _MELS + 2, dtype=torch.float64)
    bins = mel(torch.arange(_FFT // 2 + 1, dtype=torch.float64) * _RATE / _FFT)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return F.relu(torch.minimum(rising, falling)).float()
