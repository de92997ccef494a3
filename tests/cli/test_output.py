"""What a command raises becomes a message and an exit code."""

from __future__ import annotations

import numpy as np
import pytest
import typer

from flip.cli.output import guarded


@pytest.mark.parametrize("said", [True, False])
def test_memory_that_is_not_there_is_named(said: bool, capsys: pytest.CaptureFixture[str]) -> None:
    @guarded
    def command() -> None:
        if said:
            np.empty(2**60, np.uint8)
        raise MemoryError

    with pytest.raises(typer.Exit) as caught:
        command()
    assert caught.value.exit_code == 3
    err = capsys.readouterr().err
    assert err.startswith(
        "error: not enough memory: Unable to allocate 1.00 EiB" if said else "error: not enough memory"
    )
