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
    columns = ("people", "images", "people/s cpu", "people/s wall", "kB/image", "MB/8k people")
    print(f"{'set':<7}" + "".join(f"{column:>15}" for column in columns))
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
        values = (drawn, images, drawn / cpu, drawn / wall, size / images / 1e3, size / drawn * 8000 / 1e6)
        print(f"{name:<7}" + "".join(f"{value:>15.0f}" for value in values))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
