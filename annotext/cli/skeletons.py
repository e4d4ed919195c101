"""`annotext skeletons`: list, show, compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from annotext.core.skeleton import Skeleton
    from annotext.render.table import Table


def skeletons(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Skeleton names, or TOML files that describe one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the known skeletons, show one, or compare several: what they share, and their union."""
    from annotext.formats.files.skeletons import find_skeleton

    if not names:
        _list(as_json)
    elif len(names) == 1:
        _show(find_skeleton(names[0]), as_json)
    else:
        _compare([find_skeleton(n) for n in names], as_json)


def _print(title: str, table: Table, *more: str) -> None:
    from rich.markup import escape

    from annotext.cli.output import results

    with results(soft_wrap=True) as console:
        console.print("\n".join([*([f"[bold]{escape(title)}[/]", ""] if title else []), *table.lines(), *more]))


def _list(as_json: bool) -> None:
    from annotext.cli.output import print_json
    from annotext.core.skeletons import BUILT_IN
    from annotext.formats.files.skeletons import described
    from annotext.render.table import Column, Table

    files = {d.skeleton.name: d for d in reversed(described())}
    rows = [(s, "built in") for s in BUILT_IN.values()]
    rows += [(d.skeleton, f"datasets/{d.path.name}") for d in described() if d.own_skeleton]
    titles = {name: str(d.dataset.get("title", "")) for name, d in files.items()}
    titles["union21"] = "coco17 + mpii16"
    if as_json:
        print_json(
            [
                {"name": s.name, "keypoints": len(s), "from": origin, "title": titles.get(s.name, "")}
                for s, origin in rows
            ]
        )
        return
    columns = [Column("skeleton", left=True), "keypoints", Column("from", left=True), Column("data set", left=True)]
    table = Table(columns, [[s.name, str(len(s)), origin, titles.get(s.name, "")] for s, origin in rows])
    _print("", table)


def _as_dict(skeleton: Skeleton) -> dict[str, Any]:
    return {
        "name": skeleton.name,
        "keypoints": list(skeleton.keypoints),
        "native_names": list(skeleton.native_names),
        "edges": [list(e) for e in skeleton.edges],
        "flip_pairs": [list(p) for p in skeleton.flip_pairs],
        "sigmas": dict(skeleton.sigmas),
        "sigma_source": skeleton.sigma_source,
    }


def _show(skeleton: Skeleton, as_json: bool) -> None:
    from annotext.cli.output import print_json
    from annotext.render.table import Column, Table

    if as_json:
        print_json(_as_dict(skeleton))
        return
    partner = {a: b for pair in skeleton.flip_pairs for a, b in (pair, pair[::-1])}
    rows = []
    for i, (keypoint, native) in enumerate(zip(skeleton.keypoints, skeleton.native_names, strict=True)):
        joined = [b if a == keypoint else a for a, b in skeleton.edges if keypoint in (a, b)]
        named = native if native != keypoint else ""
        sigma = f"{skeleton.sigmas[keypoint]:.3f}"
        rows.append([str(i), keypoint, named, partner.get(keypoint, ""), sigma, ", ".join(joined)])
    names = [Column(head, left=True) for head in ("keypoint", "in its files", "mirrors to")]
    _print(
        f"{skeleton.name}: {len(skeleton)} keypoints, {len(skeleton.edges)} edges",
        Table([Column("#"), *names, "sigma", Column("joined to", left=True)], rows),
        f"sigmas: {skeleton.sigma_source}",
    )


def _compare(several: list[Skeleton], as_json: bool) -> None:
    from annotext.cli.output import print_json
    from annotext.core.errors import AnnotextError
    from annotext.core.skeleton import union
    from annotext.render.table import Column, Table

    first, *others = several
    try:
        whole = union(first, *others)
    except ValueError as error:
        raise AnnotextError(f"these skeletons have no union: {error}") from None
    shared = [k for k in whole.keypoints if all(k in s.index for s in several)]
    own = [
        [k for k in s.keypoints if all(k not in t.index for j, t in enumerate(several) if j != i)]
        for i, s in enumerate(several)
    ]
    if as_json:
        print_json(
            {
                "skeletons": [s.name for s in several],
                "shared": shared,
                "own": [{"name": s.name, "keypoints": o} for s, o in zip(several, own, strict=True)],
                "union": _as_dict(whole),
            }
        )
        return
    rows = []
    for i, keypoint in enumerate(whole.keypoints):
        owners = [s.name for s in several if keypoint in s.index]
        note = "shared" if len(owners) == len(several) else f"only {owners[0]}" if len(owners) == 1 else ""
        places = [str(s.index[keypoint]) if keypoint in s.index else "" for s in several]
        rows.append([str(i), keypoint, *places, note])
    _print(
        f"{' + '.join(s.name for s in several)}: {len(shared)} shared, {len(whole)} in the union",
        Table([Column("#"), Column("keypoint", left=True), *(s.name for s in several), Column("", left=True)], rows),
        *(f"only {s.name} ({len(names)}): {', '.join(names) or 'none'}" for s, names in zip(several, own, strict=True)),
    )
