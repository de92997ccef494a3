"""Computes what a pass of training costs: python arithmetic.py prints the table of the README.

A row takes three products of |V| x r (scores, and the gradients of A and of the projection) and three of r x d, of two
operations for each number. After a step the processes sum their gradients: a float32 for each number of the model.
"""

from __future__ import annotations

RANK = 512  # flip's default
BATCH = 8_192  # rows of a step, on each GPU
GPU = 400e12  # operations a second: 40% of the bfloat16 peak of an H100
WITHIN, BETWEEN = 300e9, 40e9  # bytes a second of one GPU to others: in a machine of eight, and between machines
DISK = 6e9  # bytes a second that a machine of eight GPUs reads
HERE = 233e9  # operations a second of two CPU cores, measured: tests/benchmarks/README.md, a step in float32


def operations(rows: float, words: int, d: int) -> float:
    """The floor of a pass."""
    return 6.0 * RANK * (words + d) * rows


def numbers(words: int, d: int) -> int:
    """Numbers of the model: A, B and b."""
    return words * RANK + RANK * d + words


def seconds(rows: float, words: int, d: int, gpus: int) -> dict[str, float]:
    """A pass: arithmetic and sums, one after the other, while the next vectors are read (float16)."""
    steps = rows / (BATCH * gpus)
    sent = 2 * (gpus - 1) / gpus * 4 * numbers(words, d)
    computing, summing = operations(rows, words, d) / gpus / GPU, steps * sent / (WITHIN if gpus <= 8 else BETWEEN)
    return {"computing": computing, "summing": summing, "reading": 2 * rows * d / DISK / max(1, gpus // 8)}


def time(value: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if value >= 2 * size:
            return f"{value / size:,.0f} {unit}"
    return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"


def size(value: float) -> str:
    """Bytes in the unit that suits them."""
    return f"{value / 1e12:.1f} TB" if value >= 1e12 else f"{value / 1e9:,.1f} GB"


def main() -> None:
    print("| words | d | rows | operations | vectors, float16 | state | summed a step | two cores | 1 GPU | 8 | 64 |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for words in (100_000, 1_000_000):
        for d in (1_024, 4_096):
            for rows in (10_000_000, 1_000_000_000):
                floor, model = operations(rows, words, d), numbers(words, d)
                on = []
                for gpus in (1, 8, 64):
                    parts = seconds(rows, words, d, gpus)
                    working = parts["computing"] + parts["summing"]
                    on.append(
                        time(max(working, parts["reading"])) + (" (reading)" if parts["reading"] > working else "")
                    )
                cells = [f"{words:,}", f"{d:,}", f"{rows:,}", f"{floor:.1e}", size(2.0 * rows * d), size(16.0 * model),
                         size(4.0 * model), time(floor / HERE), *on]  # fmt: skip
                print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
