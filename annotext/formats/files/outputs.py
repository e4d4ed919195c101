"""Output files: checked before the work starts, written beside their place and moved there whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from annotext.core.errors import InputError, Problem


def check_output(output: str | Path, *, force: bool, inputs: Iterable[str | Path] = ()) -> Path:
    """Refuse an output that would cost something, before any work is done. Returns it as a Path.

    Raises InputError if `output` is one of `inputs` (also by a link, and also with `force`), is a folder, lies in a
    folder that is missing or not writable, or exists and `force` is not given.
    """
    output = Path(output)
    for given in inputs:
        if output.resolve() == Path(given).resolve() or (output.exists() and _same_file(output, Path(given))):
            raise InputError.single(output, "", "is the input itself", "write to another name: inputs stay as they are")
    if output.is_dir():
        raise InputError.single(output, "", "is a folder, expected a file name")
    if not output.parent.is_dir():
        raise InputError.single(output, "", f"the folder {output.parent} does not exist", "create it first")
    if output.exists() and not force:
        raise InputError.single(output, "", "exists", "give --force to replace it")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise InputError.single(output, "", f"no permission to write into {output.parent}")
    return output


def check_outputs(written: Sequence[Path], read: Sequence[Path | None], force: bool) -> None:
    """Raises InputError for outputs that could not be written, or would replace an input or each other."""
    problems: list[Problem] = []
    for i, path in enumerate(written):
        try:
            check_output(path, force=force, inputs=[p for p in read if p is not None])
        except InputError as error:
            problems += error.problems
        if path.resolve() in [other.resolve() for other in written[:i]]:
            problems.append(Problem(str(path), "", "is named for two outputs", "give each its own name"))
    if problems:
        raise InputError(problems)


@contextmanager
def writing(output: str | Path, *, force: bool, inputs: Iterable[str | Path] = ()) -> Iterator[Path]:
    """`with writing(out, force=False) as temporary:` write `temporary`; it becomes `out` only if the block succeeds.

    The temporary name is `<output>.tmp`; it is removed when the block raises. Raises InputError as `check_output`
    does, and where the system refuses to write.
    """
    output = check_output(output, force=force, inputs=inputs)
    # A link keeps pointing where it points: the file behind it is replaced.
    target = output.resolve()
    temporary = target.with_name(target.name + ".tmp")
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError.single(output, "", f"cannot be written ({error.strerror or error})") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
