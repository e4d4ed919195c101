"""Take out of an extended file what annotext put in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from annotext.formats.files.jsonio import read_json, write_json
from annotext.formats.files.outputs import check_output
from annotext.formats.overlay.strip import count_additions, strip_document


@dataclass(frozen=True)
class StripReport:
    """What was taken out: `people` records carried additions of `keypoints` keypoints each."""

    input: str
    output: str
    people: int
    keypoints: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def strip_file(path: str | Path, output: str | Path, *, force: bool = False) -> StripReport:
    """Write to `output` the file that `path` was extended from: equal as JSON, key order included.

    An extended MPII file needs no header for this. Raises InputError if `path` is not an extended file, if its
    additions cannot be told apart, or if `output` is the input, exists without `force`, or cannot be written.
    """
    check_output(output, force=force, inputs=[path])
    document, _ = read_json(path)
    stripped = strip_document(document, path)
    write_json(stripped, output, force=force, inputs=[path])
    return StripReport(str(path), str(output), *count_additions(document))
