"""Draws what `flip explain` shows on a terminal: python screen.py "A sentence." > screen.svg"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys

from rich.console import Console
from rich.text import Text

WIDTH = 78


def main() -> None:
    sentence = sys.argv[1]
    print(picture(f'flip explain "{sentence}"', on_a_terminal(["explain", sentence])), end="")


def on_a_terminal(arguments: list[str]) -> str:
    """The output of the real command on a terminal of its own."""
    control, terminal = pty.openpty()
    environment = os.environ | {"COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "flip", *arguments],
        stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, env=environment,
    )  # fmt: skip
    os.close(terminal)
    output = b""
    try:
        while piece := os.read(control, 65_536):
            output += piece
    except OSError:  # how a terminal ends on Linux
        pass
    os.close(control)
    if process.wait():
        raise SystemExit(output.decode())
    return output.decode().replace("\r\n", "\n").strip("\n")


def picture(title: str, screen: str) -> str:
    """An SVG that asks nothing of the network."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(screen))
    svg = console.export_svg(title=title, unique_id="flip")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL) + "\n"


if __name__ == "__main__":
    main()
