"""Runs a notebook from its own folder. `python tests/notebook.py FILE` renews its outputs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient


def executed(path: Path) -> Any:
    """The notebook with the outputs of every cell, and nothing that differs from run to run.

    Raises:
        CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    # One print arrives in one message or in several, as the kernel's timer falls.
    NotebookClient(notebook, resources=resources, record_timing=False, coalesce_streams=True).execute()
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return notebook


if __name__ == "__main__":
    for name in sys.argv[1:]:
        nbformat.write(executed(Path(name)), name)
