"""`python killed.py N WHAT...`: runs a Python file, or `flip WHAT...`, and kills itself before its N-th rename.

A rename is whatever changes which file is under a name: replacing, moving and deleting. With N = 0 it is not killed,
and says on stderr how many there were.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from typing import Any

limit, *what = sys.argv[1:]
seen = 0


def counted(name: str) -> None:
    call = getattr(os, name)

    def wrapped(path: Any, *args: Any, **options: Any) -> Any:
        global seen
        seen += bool(os.path.lexists(path))
        if seen == int(limit) > 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(path, *args, **options)

    setattr(os, name, wrapped)


for name in ("rename", "replace", "unlink", "remove"):
    counted(name)
if what[0].endswith(".py"):
    sys.argv = what
    runpy.run_path(what[0], run_name="__main__")
    code = 0
else:
    from flip.cli.app import main

    code = main(what)
print(f"{seen} renames", file=sys.stderr)
sys.exit(code)
