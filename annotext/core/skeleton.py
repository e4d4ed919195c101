"""Skeletons: named keypoints with edges, flip pairs and sigmas, and the union of several (paper eq. 1-5).

K is the number of keypoints of the skeleton at hand. Keypoints are always addressed by name; an integer index is
computed where an array is touched and never written down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Skeleton:
    """An ordered set of keypoints under their canonical names.

    keypoints: canonical names in array order, unique.
    edges: pairs of names to draw a line between.
    flip_pairs: (left, right) pairs that trade places when an image is mirrored; every other keypoint stays itself.
    sigmas: per keypoint the OKS standard deviation relative to sqrt(area) (COCO's `kpt_oks_sigmas`, that is
        k_i / 2), all > 0.
    sigma_source: where the sigmas come from, in one line.
    synonyms: the name a data set's own files use -> the canonical name, where they differ.

    Raises ValueError for a repeated or unknown name, a missing or non-positive sigma.
    """

    name: str
    keypoints: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    flip_pairs: tuple[tuple[str, str], ...]
    sigmas: Mapping[str, float]
    sigma_source: str
    synonyms: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = set(self.keypoints)
        if not self.keypoints:
            raise ValueError(f"skeleton {self.name}: no keypoints")
        if len(known) != len(self.keypoints):
            twice = sorted({k for k in self.keypoints if self.keypoints.count(k) > 1})
            raise ValueError(f"skeleton {self.name}: keypoint named twice: {', '.join(twice)}")
        for what, pairs in (("edge", self.edges), ("flip pair", self.flip_pairs)):
            for a, b in pairs:
                for end in (a, b):
                    if end not in known:
                        raise ValueError(f"skeleton {self.name}: {what} ({a}, {b}) names unknown keypoint {end}")
                if a == b:
                    raise ValueError(f"skeleton {self.name}: {what} ({a}, {b}) joins a keypoint with itself")
        flipped = [k for pair in self.flip_pairs for k in pair]
        if len(set(flipped)) != len(flipped):
            raise ValueError(f"skeleton {self.name}: a keypoint stands in two flip pairs")
        for keypoint in self.keypoints:
            sigma = self.sigmas.get(keypoint)
            if sigma is None or not sigma > 0:
                raise ValueError(f"skeleton {self.name}: keypoint {keypoint} needs a sigma > 0")
        for native, canonical in self.synonyms.items():
            if canonical not in known:
                raise ValueError(f"skeleton {self.name}: synonym {native} stands for unknown keypoint {canonical}")
        object.__setattr__(self, "sigmas", MappingProxyType({k: float(self.sigmas[k]) for k in self.keypoints}))
        object.__setattr__(self, "synonyms", MappingProxyType(dict(self.synonyms)))

    def __len__(self) -> int:
        return len(self.keypoints)

    def __reduce__(self) -> tuple[object, ...]:
        # mappingproxy objects cannot be pickled; data loader workers need the skeleton.
        return (
            Skeleton,
            (
                self.name,
                self.keypoints,
                self.edges,
                self.flip_pairs,
                dict(self.sigmas),
                self.sigma_source,
                dict(self.synonyms),
            ),
        )

    def __hash__(self) -> int:
        return hash((self.name, self.keypoints))

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Keypoint name -> position in an array of this skeleton."""
        return MappingProxyType({k: i for i, k in enumerate(self.keypoints)})

    @cached_property
    def native_names(self) -> tuple[str, ...]:
        """The names as the data set's own files spell them, in array order."""
        native = {canonical: n for n, canonical in self.synonyms.items()}
        return tuple(native.get(k, k) for k in self.keypoints)

    def indices(self, names: Iterable[str]) -> NDArray[np.intp]:
        """(len(names),) positions. Raises KeyError naming the skeleton for an unknown keypoint."""
        try:
            return np.array([self.index[n] for n in names], dtype=np.intp)
        except KeyError as error:
            raise KeyError(f"skeleton {self.name} has no keypoint {error.args[0]}") from None

    @cached_property
    def sigma_array(self) -> NDArray[np.float64]:
        """(K,) float64 sigmas in array order."""
        return np.array([self.sigmas[k] for k in self.keypoints])

    @cached_property
    def flip_index(self) -> NDArray[np.intp]:
        """(K,) position whose value keypoint k takes after mirroring; an involution."""
        partner = {k: k for k in self.keypoints}
        for left, right in self.flip_pairs:
            partner[left], partner[right] = right, left
        return self.indices(partner[k] for k in self.keypoints)

    @cached_property
    def edge_index(self) -> NDArray[np.intp]:
        """(E, 2) 0-based positions of the edges' ends."""
        return np.array([[self.index[a], self.index[b]] for a, b in self.edges], dtype=np.intp).reshape(-1, 2)

    def shared_with(self, other: Skeleton) -> tuple[str, ...]:
        """Names both skeletons have, in this skeleton's order."""
        return tuple(k for k in self.keypoints if k in other.index)

    def missing_from(self, other: Skeleton) -> tuple[str, ...]:
        """Names of this skeleton that `other` lacks, in this skeleton's order."""
        return tuple(k for k in self.keypoints if k not in other.index)

    def subset(self, names: Iterable[str], name: str | None = None) -> Skeleton:
        """The keypoints `names`, in that order, with the edges, flip pairs, sigmas and synonyms they keep.

        name: of the result; without it this skeleton's and how many they are, such as coco17[12].
        Raises KeyError for a name that is not here.
        """
        keypoints = tuple(names)
        self.indices(keypoints)
        kept = set(keypoints)
        return Skeleton(
            name=name or f"{self.name}[{len(keypoints)}]",
            keypoints=keypoints,
            edges=tuple(e for e in self.edges if kept.issuperset(e)),
            flip_pairs=tuple(p for p in self.flip_pairs if kept.issuperset(p)),
            sigmas={k: self.sigmas[k] for k in keypoints},
            sigma_source=self.sigma_source,
            synonyms={native: k for native, k in self.synonyms.items() if k in kept},
        )

    def grown(self, added: Sequence[str], known: Iterable[Skeleton]) -> Skeleton:
        """This skeleton with the keypoints `added` behind its own; what belongs to them is taken from `known`.

        A known skeleton with exactly these keypoints is returned as it is. Raises ValueError for a name none knows.
        """
        known, keypoints = tuple(known), (*self.keypoints, *added)
        for skeleton in known:
            if skeleton.keypoints == keypoints:
                return skeleton
        whole = self
        for skeleton in known:
            if any(k not in whole.index for k in added if k in skeleton.index):
                whole = union(whole, skeleton)
        unknown = [k for k in added if k not in whole.index]
        if unknown:
            raise ValueError(f"no known skeleton has the keypoint {', '.join(unknown)}")
        return replace(whole.subset(keypoints, f"{self.name}+{len(added)}"), synonyms=self.synonyms)

    def canonical(self, native: str) -> str:
        """The canonical name of a keypoint as this data set spells it."""
        return self.synonyms.get(native, native)


def union(first: Skeleton, *others: Skeleton, name: str | None = None) -> Skeleton:
    """The union of skeletons by canonical name (paper eq. 1: K = K_1 u ... u K_n).

    Keypoints keep the order of first appearance. Where several skeletons define the same thing the first one given
    wins (its sigma). Edges are those whose two ends are still named, without duplicates in either direction; flip
    pairs likewise. Raises ValueError if two skeletons pair a keypoint with different partners.
    """
    keypoints: list[str] = []
    sigmas: dict[str, float] = {}
    edges: list[tuple[str, str]] = []
    flip_pairs: list[tuple[str, str]] = []
    partner: dict[str, str] = {}
    sources: list[str] = []
    for skeleton in (first, *others):
        new = [k for k in skeleton.keypoints if k not in sigmas]
        keypoints += new
        sigmas.update({k: skeleton.sigmas[k] for k in new})
        edges += [e for e in skeleton.edges if e not in edges and e[::-1] not in edges]
        for left, right in skeleton.flip_pairs:
            for a, b in ((left, right), (right, left)):
                if partner.setdefault(a, b) != b:
                    raise ValueError(f"{skeleton.name} mirrors {a} to {b}, an earlier skeleton to {partner[a]}")
            if (left, right) not in flip_pairs and (right, left) not in flip_pairs:
                flip_pairs.append((left, right))
        if new:
            sources.append(skeleton.sigma_source)
    return Skeleton(
        name=name or "+".join(s.name for s in (first, *others)),
        keypoints=tuple(keypoints),
        edges=tuple(edges),
        flip_pairs=tuple(flip_pairs),
        sigmas=sigmas,
        sigma_source="; ".join(dict.fromkeys(sources)),
    )
