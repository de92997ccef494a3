"""Define SONAR's text and speech encoders in plain torch (Duquenne et al. 2023), for any torch on any platform.

Parameters are named as in fairseq2, so that the official checkpoints load directly. Sizes are read off the weights.
"""

import math
import re
from collections.abc import Mapping
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_RATE, _FRAME, _SHIFT, _FFT, _MELS = 16_000, 400, 160, 512, 80
_LOWEST_HERTZ = 20.0
_PREEMPHASIS = 0.97
_SCALE = 2.0**15  # Kaldi's samples are 16-bit integers

POSITIONS = 514  # tokens that the text encoder reads
_OFFSET = 2  # fairseq's first position


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


class TextEncoder(nn.Module):
    """Pre-norm transformer; the sentence vector is the mean of the last layer over all tokens."""

    def __init__(self, weights: Mapping[str, Tensor], heads: int, longest: int = POSITIONS) -> None:
        super().__init__()
        vocabulary, d = weights["encoder_frontend.embed.weight"].shape
        inner = weights["encoder.layers.0.ffn.inner_proj.weight"].shape[0]
        self.encoder_frontend = nn.Module()
        self.encoder_frontend.embed = nn.Embedding(vocabulary, d)
        self.encoder = nn.Module()
        layers = count_layers(weights, "encoder")
        self.encoder.layers = nn.ModuleList(TextLayer(d, heads, inner) for _ in range(layers))
        self.layer_norm = nn.LayerNorm(d)
        self.longest = longest
        _fill(self, weights)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (n, s) and lengths (n,) to (n, d) float32; tokens beyond a sentence's length are ignored."""
        d = self.layer_norm.normalized_shape[0]
        x = self.encoder_frontend.embed(ids)
        # Positions are added in float32, for any precision of the weights.
        positions = sinusoids(ids.shape[1], d, first=_OFFSET).to(x.device)
        x = (x.float() * math.sqrt(d) + positions).to(x.dtype)
        inside = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        for layer in self.encoder.layers:
            x = layer(x, inside[:, None, None])
        x = self.layer_norm(x).float() * inside[..., None]
        return x.sum(dim=1) / lengths[:, None]


class SpeechEncoder(nn.Module):
    """Conformer with relative positions over stacked filter banks, and a decoder of one token that pools them."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        first = "encoder.layers.0."
        d, features = weights["encoder_frontend.model_dim_proj.weight"].shape
        heads = weights[first + "self_attn.sdpa.u_bias"].shape[0]
        inner = weights[first + "ffn1.inner_proj.weight"].shape[0]
        kernel = weights[first + "conv.depthwise_conv.weight"].shape[-1]
        pooler_inner = weights["encoder_pooler.decoder.layers.0.ffn.inner_proj.weight"].shape[0]
        self.encoder_frontend = nn.Module()
        self.encoder_frontend.post_extract_layer_norm = nn.LayerNorm(features)
        self.encoder_frontend.model_dim_proj = nn.Linear(features, d)
        self.encoder = nn.Module()
        layers = count_layers(weights, "encoder")
        self.encoder.layers = nn.ModuleList(ConformerLayer(d, heads, inner, kernel) for _ in range(layers))
        self.layer_norm = nn.LayerNorm(d)
        self.encoder_pooler = Pooler(weights, d, heads, pooler_inner)
        _fill(self, weights)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Map features (n, frames, 80), an even number of frames, and lengths (n,) in frames to (n, d) float32."""
        n, frames, bins = features.shape
        dtype = self.layer_norm.weight.dtype
        x = features.reshape(n, frames // 2, 2 * bins).to(dtype)
        x = self.encoder_frontend.model_dim_proj(self.encoder_frontend.post_extract_layer_norm(x))
        inside = torch.arange(x.shape[1], device=x.device) < (lengths // 2)[:, None]
        positions = relative_sinusoids(x.shape[1], x.shape[2]).to(x)
        for layer in self.encoder.layers:
            x = layer(x, inside, positions)
        return self.encoder_pooler(self.layer_norm(x), inside[:, None, None]).float()


class TextLayer(nn.Module):
    """Self-attention and feed-forward, each on the normalised input and added to it."""

    def __init__(self, d: int, heads: int, inner: int) -> None:
        super().__init__()
        self.self_attn, self.self_attn_layer_norm = Attention(d, heads), nn.LayerNorm(d)
        self.ffn, self.ffn_layer_norm = FeedForward(d, inner, nn.ReLU()), nn.LayerNorm(d)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        normed = self.self_attn_layer_norm(x)
        x = x + self.self_attn(normed, normed, mask)
        return x + self.ffn(self.ffn_layer_norm(x))


class ConformerLayer(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward, norm (Gulati et al. 2020)."""

    def __init__(self, d: int, heads: int, inner: int, kernel: int) -> None:
        super().__init__()
        self.ffn1, self.ffn1_layer_norm = FeedForward(d, inner, nn.SiLU()), nn.LayerNorm(d)
        self.self_attn, self.self_attn_layer_norm = RelativeAttention(d, heads), nn.LayerNorm(d)
        self.conv, self.conv_layer_norm = Convolution(d, kernel), nn.LayerNorm(d)
        self.ffn2, self.ffn2_layer_norm = FeedForward(d, inner, nn.SiLU()), nn.LayerNorm(d)
        self.layer_norm = nn.LayerNorm(d)

    def forward(self, x: Tensor, inside: Tensor, positions: Tensor) -> Tensor:
        x = x + self.ffn1(self.ffn1_layer_norm(x)) / 2
        x = x + self.self_attn(self.self_attn_layer_norm(x), inside, positions)
        x = x + self.conv(self.conv_layer_norm(x) * inside[..., None])
        x = x + self.ffn2(self.ffn2_layer_norm(x)) / 2
        return self.layer_norm(x)


class Attention(nn.Module):
    """Multi-head attention from x to `source`."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d)
        self.output_proj = nn.Linear(d, d)

    def split(self, x: Tensor) -> Tensor:
        """Reshape (n, s, d) to (n, heads, s, d / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = self.split(self.q_proj(x)), self.split(self.k_proj(source)), self.split(self.v_proj(source))
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.output_proj(attended.transpose(1, 2).flatten(2))


class RelativeAttention(Attention):
    """Self-attention with relative positions (Dai et al. 2019, Transformer-XL): (q + u) k + (q + v) r."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__(d, heads)
        self.sdpa = nn.Module()
        self.sdpa.u_bias = nn.Parameter(torch.empty(heads, d // heads))
        self.sdpa.v_bias = nn.Parameter(torch.empty(heads, d // heads))
        self.sdpa.r_proj = nn.Linear(d, d, bias=False)

    def forward(self, x: Tensor, inside: Tensor, positions: Tensor) -> Tensor:  # type: ignore[override]
        q, k, v = self.split(self.q_proj(x)), self.split(self.k_proj(x)), self.split(self.v_proj(x))
        r = self.split(self.sdpa.r_proj(positions)[None])  # (1, heads, 2 s - 1, d / heads)
        bias = ((q + self.sdpa.v_bias[:, None]) @ r.transpose(-1, -2)).contiguous()
        n, heads, s, width = bias.shape
        # Row i of the result is row i of the bias from column s - 1 - i on: the distance i - j of query and key.
        strides = (heads * s * width, s * width, width - 1, 1)
        bias = bias.as_strided((n, heads, s, s), strides, s - 1) / math.sqrt(q.shape[-1])
        bias = bias.masked_fill(~inside[:, None, None], -torch.inf)
        attended = F.scaled_dot_product_attention(q + self.sdpa.u_bias[:, None], k, v, attn_mask=bias)
        return self.output_proj(attended.transpose(1, 2).flatten(2))


class Convolution(nn.Module):
    """Gated pointwise, depthwise over time, batch norm, pointwise."""

    def __init__(self, d: int, kernel: int) -> None:
        super().__init__()
        self.pointwise_conv1 = nn.Conv1d(d, 2 * d, 1, bias=False)
        self.depthwise_conv = nn.Conv1d(d, d, kernel, padding="same", groups=d, bias=False)
        self.batch_norm = nn.BatchNorm1d(d)
        self.pointwise_conv2 = nn.Conv1d(d, d, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise_conv(F.glu(self.pointwise_conv1(x.transpose(1, 2)), dim=1))
        return self.pointwise_conv2(F.silu(self.batch_norm(x))).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear maps with an activation between them."""

    def __init__(self, d: int, inner: int, activation: nn.Module) -> None:
        super().__init__()
        self.inner_proj, self.output_proj = nn.Linear(d, inner), nn.Linear(inner, d)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.output_proj(self.activation(self.inner_proj(x)))


class Pooler(nn.Module):
    """A post-norm decoder of one token whose output, projected, is the sentence vector."""

    def __init__(self, weights: Mapping[str, Tensor], d: int, heads: int, inner: int) -> None:
        super().__init__()
        self.decoder_frontend = nn.Module()
        self.decoder_frontend.embed = nn.Embedding(weights["encoder_pooler.decoder_frontend.embed.weight"].shape[0], d)
        self.decoder = nn.Module()
        layers = count_layers(weights, "encoder_pooler.decoder")
        self.decoder.layers = nn.ModuleList(PoolerLayer(d, heads, inner) for _ in range(layers))
        self.projection_out = nn.Linear(d, d, bias=False)

    def forward(self, source: Tensor, mask: Tensor) -> Tensor:
        embed, d = self.decoder_frontend.embed, source.shape[-1]
        bos = torch.full((len(source), 1), 2, device=source.device)
        x = (embed(bos).float() * math.sqrt(d) + sinusoids(1, d, first=0).to(source.device)).to(source.dtype)
        for layer in self.decoder.layers:
            x = layer(x, source, mask)
        return self.projection_out(x)[:, 0]


class PoolerLayer(nn.Module):
    """Self-attention, attention to the source, feed-forward, each added and then normalised."""

    def __init__(self, d: int, heads: int, inner: int) -> None:
        super().__init__()
        self.self_attn, self.self_attn_layer_norm = Attention(d, heads), nn.LayerNorm(d)
        self.encoder_decoder_attn, self.encoder_decoder_attn_layer_norm = Attention(d, heads), nn.LayerNorm(d)
        self.ffn, self.ffn_layer_norm = FeedForward(d, inner, nn.ReLU()), nn.LayerNorm(d)

    def forward(self, x: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        x = self.self_attn_layer_norm(x + self.self_attn(x, x, None))
        x = self.encoder_decoder_attn_layer_norm(x + self.encoder_decoder_attn(x, source, mask))
        return self.ffn_layer_norm(x + self.ffn(x))


def sinusoids(n: int, d: int, first: int) -> Tensor:
    """Return fairseq's positions from `first` on, the sines of all frequencies, then the cosines: (n, d)."""
    half = d // 2
    frequencies = torch.exp(torch.arange(half) * (-math.log(10_000) / (half - 1)))
    angles = torch.outer(torch.arange(first, first + n, dtype=torch.float32), frequencies)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def relative_sinusoids(s: int, d: int) -> Tensor:
    """Return Transformer-XL's positions for distances s - 1 to 1 - s, sines and cosines alternating: (2 s - 1, d)."""
    frequencies = torch.exp(torch.arange(0, d, 2) * (-math.log(10_000) / d))
    angles = torch.outer(torch.arange(s - 1, -s, -1, dtype=torch.float32), frequencies)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


def count_layers(weights: Mapping[str, Tensor], prefix: str) -> int:
    """Return the number of layers under `prefix`."""
    pattern = re.compile(re.escape(prefix) + r"\.layers\.(\d+)\.")
    return 1 + max(int(match[1]) for key in weights if (match := pattern.match(key)))


def _fill(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    module.load_state_dict(dict(weights))
    module.eval().requires_grad_(False)
