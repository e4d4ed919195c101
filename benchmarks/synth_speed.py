"""How fast `annotext synth` draws people on one core, images encoded and written, and how large they are.

    python benchmarks/synth_speed.py [people per set]

Prints people per second of CPU time and of wall time for each set, and the bytes per image.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from annotext.synth.sets import SETS, chunks, make_chunk


def main(people: int) -> None:
    """Time every set in this process."""
    print(
        f"{'set':<7}{'people':>8}{'images':>8}{'people/s cpu':>14}{'people/s wall':>15}{'kB/image':>10}{'MB per 8,000 people':>21}"
    )
    for name, kind in SETS.items():
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "images").mkdir()
            warm_up, *jobs = chunks(kind, people + 150, 1, Path(folder), harder=False)
            make_chunk(warm_up)
            cpu, wall = time.process_time(), time.perf_counter()
            made = [make_chunk(job) for job in jobs]
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        drawn, images = sum(len(m.truth) for m in made), sum(len(m.images) for m in made)
        size = sum(m.image_bytes for m in made)
        print(
            f"{name:<7}{drawn:>8}{images:>8}{drawn / cpu:>14.0f}{drawn / wall:>15.0f}"
            f"{size / images / 1e3:>10.1f}{size / drawn * 8000 / 1e6:>21.0f}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
