"""Which files a command may write: none that it reads, and on the word of flip.toml none outside its folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from flip.cli.call import PUBLISHED, Call
from flip.cli.config import CONFIG_FILE
from flip.errors import UsageError
from flip.files import is_stream, require_apart, written_by_flip

# They look at what is there themselves, and replace only what they wrote.
_CAREFUL = {("vocab",), ("embed",), ("train",)}


def require_outputs(call: Call, outputs: Mapping[str, Path | None], inputs: Iterable[str | Path | None]) -> None:
    """Check the outputs of a command before anything is read or made.

    Args:
        call: of the command.
        outputs: its options that name files to write, and the files; None if there is none.
        inputs: all that it reads, see `flip.data.companions.files_read`; flip.toml and --config are added.

    Raises:
        UsageError: an output is an input, or another output; or flip.toml names it, and it lies outside the folder of
            flip.toml, is a device, or would replace a file that flip did not write.
    """
    written = {name: path for name, path in outputs.items() if path is not None}
    if not written:
        return
    from flip.data.companions import files_read

    published = call.ctx.meta.get(PUBLISHED)
    named = [*inputs, CONFIG_FILE, published.path if published else None]
    read = [path for name in named if name is not None for path in files_read(name)]
    for name, path in written.items():
        require_apart(path, read)
        for other, same in written.items():
            if other != name and same.resolve() == path.resolve():
                raise UsageError(f"--{name} and --{other} are both {path}", "name a file for each")
        if call.of_file(name) and not call.trusts:
            _require_harmless(call, name, path)


def _require_harmless(call: Call, name: str, path: Path) -> None:
    why = None
    if is_stream(path):
        why = "a device or a pipe"
    elif not path.resolve().is_relative_to(Path.cwd().resolve()):
        why = "outside its folder"
    elif call.command == ("pull",) and path.is_dir() and any(path.iterdir()):
        why = "a folder that has files"
    elif call.command not in _CAREFUL and path.is_file() and not written_by_flip(path):
        why = "a file that flip did not write"
    if why:
        param = next(param for param in call.ctx.command.params if param.name == name)
        trust = ", or --trust" if "trust" in call.ctx.params else ""
        hint = f"if you mean it: {max(param.opts, key=len)} {path}{trust}"
        raise UsageError(f"flip.toml names {path} as {name}, {why}", hint)
