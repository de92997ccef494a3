"""Runs the published training and keeps its model before the first pass and after each check; see passes.py.

    python theirs.py CHECKOUT FOLDER --config train_lolm.yaml

Nothing of the program is changed but that, and that a machine without a GPU is not asked for one.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path


def main() -> None:
    checkout, folder, *sys.argv[1:] = sys.argv[1:]
    sys.path.insert(0, checkout)
    import lolm.train as program
    import torch
    from safetensors.torch import save_file

    passes, measure = count(), program.evaluate_pr

    def kept_and_measured(model, *rest):
        state = getattr(model, "_orig_mod", model).state_dict()
        save_file(
            {name: value.cpu().contiguous() for name, value in state.items()},
            Path(folder) / f"pass-{next(passes):04}.safetensors",
        )
        return measure(model, *rest)

    program.evaluate_pr = kept_and_measured
    if not torch.cuda.is_available():
        torch.nn.Module.cuda = lambda self, device=None: self
        torch.compile = lambda model: model
    program.main()


if __name__ == "__main__":
    main()
