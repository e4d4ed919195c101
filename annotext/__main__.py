"""`python -m annotext`: the program, and what torchrun starts several of (`torchrun -m annotext train ...`)."""

from __future__ import annotations

import os
import sys
import time

from annotext.core.errors import AnnotextError

# How long a process that failed as well leaves the one that says why: torchrun ends all once the first is gone.
_GRACE_SECONDS = 1.0


def _main() -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "TORCHELASTIC_RUN_ID" not in os.environ:
        from annotext.cli.main import main

        main()
    else:
        _one_of_several()


def _one_of_several() -> None:
    """The first process talks and gives the report; the others report only when they are the first to fail."""
    from annotext.cli.main import app

    errors = sys.stderr
    if os.environ["RANK"] != "0":
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  (for the rest of the process)
    try:
        app()
    except SystemExit as end:
        if not end.code:
            _leave()
        raise
    except AnnotextError as error:
        if _first_to_fail():
            print(f"error: {error}", file=errors, flush=True)
        else:
            time.sleep(_GRACE_SECONDS)
        os._exit(1)  # a collective that will never end must not hold the process
    except KeyboardInterrupt:
        if _first_to_fail():
            print("interrupted", file=errors, flush=True)
        os._exit(130)
    except Exception:
        sys.stderr = errors
        # The others' connections break when one has failed; it has reported why.
        if _first_to_fail():
            raise
        os._exit(1)


def _leave() -> None:
    """End well: with the others, and without waiting for threads of theirs that abort where the interpreter ends."""
    if "annotext.training.run.distributed" in sys.modules:
        from annotext.training.run.distributed import leave

        leave()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _first_to_fail() -> bool:
    from annotext.training.run.distributed import first_to_fail

    return first_to_fail()


if __name__ == "__main__":
    _main()
