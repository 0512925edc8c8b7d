"""Model files: each model beside a manifest that says what it is and what it was made of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.errors import ModelError
from itb.mlmodels.algorithm import Algorithm, FloatMatrix, Model, complete_rows, score_rows
from itb.mlmodels.algorithms import ALGORITHMS
from itb.mlmodels.by_class import CLASS_NAMES, Chances, ClassModel
from itb.mlmodels.coin_scales import CoinScales
from itb.mlmodels.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from itb.market.bars import FloatArray

_FORMAT = 1
_SCALES = ".scales.npz"
_LIBRARIES = ("lightgbm", "numpy", "scikit-learn", "skops")


@dataclass(frozen=True)
class Manifest:
    """What a model file is: written next to it as JSON.

    ``trained_from`` and ``trained_until`` are the open times of the first and last bar it learned from, ``known_at``
    is the open time of the bar at whose close it was fitted (all UTC milliseconds). ``sha256`` is that of ``file``.
    A model that scales coin by coin names its ``coins`` and the file of their ``scales``.
    """

    column: str
    label: str
    algorithm: str
    settings: Mapping[str, Any]
    feature_names: tuple[str, ...]
    rows: int
    seed: int
    trained_from: int
    trained_until: int
    known_at: int
    note: str = ""
    file: str = ""
    sha256: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    coins: tuple[str, ...] = ()
    scales: str = ""
    scales_sha256: str = ""


@dataclass(frozen=True)
class StoredModel:
    """A model read back from its file, checked against its manifest."""

    manifest: Manifest
    model: Model
    scales: CoinScales | None = None

    def read(self, features: FloatMatrix, coin: str = "") -> FloatMatrix:
        """Give rows of a coin's features as the model reads them: scaled, where it was taught coin by coin."""
        return features if self.scales is None else self.scales.of_coin(features, coin)

    def scores(self, features: FloatMatrix, coin: str = "") -> FloatArray:
        """Score rows of a coin's features (NaN where one is missing); raise :class:`ModelError` if the schema differs.

        ``coin`` matters to a model that scales coin by coin, and must then be one of its own.
        """
        if features.ndim != 2 or features.shape[1] != len(self.manifest.feature_names):
            raise ModelError(
                f"model {self.manifest.column}: got features of shape {features.shape}, expected "
                f"{len(self.manifest.feature_names)} columns, as it was trained with"
            )
        return score_rows(self.model, self.read(features, coin))

    def chances(self, features: FloatMatrix, coin: str = "") -> Chances:
        """Give the chances to hold, to buy and to sell, a row for each (NaN where a feature is missing).

        All NaN from a model that learned no such classes.
        """
        found = np.full((len(CLASS_NAMES), len(features)), np.nan)
        if isinstance(self.model, ClassModel):
            read = self.read(features, coin)
            rows = np.flatnonzero(complete_rows(read))
            if len(rows):
                found[:, rows] = self.model.chances(np.ascontiguousarray(read[rows])).T
        return found


@cache
def library_versions() -> dict[str, str]:
    """Give the versions of everything that decides a model's bits."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def save_model(
    model: Model, algorithm: Algorithm, manifest: Manifest, folder: Path, scales: CoinScales | None = None
) -> str:
    """Write a model, its scales and its manifest; give the manifest's file name, which is made from its content."""
    if scales is not None:
        content = scales.to_bytes()
        digest = hashlib.sha256(content).hexdigest()
        write_whole(folder / f"{digest[:16]}{_SCALES}", content)
        manifest = replace(manifest, coins=scales.coins, scales=f"{digest[:16]}{_SCALES}", scales_sha256=digest)
    return save_content(model.to_bytes(), algorithm.suffix, manifest, folder)


def save_content(content: bytes, suffix: str, manifest: Manifest, folder: Path) -> str:
    """Write the file of anything fitted and its manifest; give the manifest's file name.

    Nothing is ever overwritten by something else: another model has another name. The manifest is written last, so a
    manifest whose model is missing has been damaged, not interrupted.
    """
    digest = hashlib.sha256(content).hexdigest()
    file = f"{digest[:16]}{suffix}"
    fields = asdict(manifest) | {"file": file, "sha256": digest, "versions": library_versions()}
    text = json.dumps({"format": _FORMAT, **fields}, indent=1, sort_keys=True, default=repr).encode()
    name = f"{hashlib.sha256(text).hexdigest()[:16]}.json"
    write_whole(folder / file, content)
    write_whole(folder / name, text)
    return name


def check_model(path: Path) -> tuple[Manifest, bytes]:
    """Read the model file that a manifest names, without building the model; give both. Its scales are checked too.

    Raises :class:`ModelError` if a file is missing or altered.
    """
    text = _read(path)
    if path.stem != hashlib.sha256(text).hexdigest()[:16]:
        raise ModelError(f"{path}: the manifest was altered (its name no longer matches its content). Train again.")
    manifest = _parse(path, text)
    if manifest.scales:
        _read_whole(path.with_name(manifest.scales), manifest.scales_sha256)
    return manifest, _read_whole(path.with_name(manifest.file), manifest.sha256)


def load_model(path: Path, algorithm: Algorithm | None = None) -> StoredModel:
    """Read the model that a manifest names; ``algorithm`` is needed for one that is not in ``ALGORITHMS``.

    Raises :class:`ModelError` if a file is missing, altered, or not of the kind the manifest says. Nothing from the
    file is executed: LightGBM's text is parsed by LightGBM, skops files may hold a literal list of types only.
    """
    manifest, content = check_model(path)
    algorithm = algorithm or _algorithm(path, manifest.algorithm)
    try:
        model = algorithm.load(content)
    except ModelError as error:
        raise ModelError(f"{path.with_name(manifest.file)}: {error}") from None
    scales = None
    if manifest.scales:
        kept = _read_whole(path.with_name(manifest.scales), manifest.scales_sha256)
        scales = CoinScales.load(kept, manifest.coins, len(manifest.feature_names))
    if len(model.importance) != len(manifest.feature_names):
        raise ModelError(
            f"{path}: the model takes {len(model.importance)} features, its manifest names "
            f"{len(manifest.feature_names)}. Train again."
        )
    return StoredModel(manifest, model, scales)


def check_features(manifest: Manifest, names: tuple[str, ...]) -> None:
    """Refuse features other than those the model learned from, in the same order, with :class:`ModelError`."""
    if names == manifest.feature_names:
        return
    wrong = next(
        (i for i, pair in enumerate(zip(names, manifest.feature_names, strict=False)) if pair[0] != pair[1]), None
    )
    place = (
        f"{len(names)} features, expected {len(manifest.feature_names)}"
        if wrong is None
        else f"feature {wrong + 1} is {names[wrong]!r}, expected {manifest.feature_names[wrong]!r}"
    )
    raise ModelError(f"model {manifest.column}: {place}. Restore the features it was trained with, or train again.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}). Run `itb walkforward` to train again.") from None


def _read_whole(path: Path, sha256: str) -> bytes:
    content = _read(path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelError(f"{path}: the model was altered (sha256 differs). Train again.")
    return content


def _parse(path: Path, text: bytes) -> Manifest:
    try:
        fields = json.loads(text)
        if fields.pop("format") != _FORMAT:
            raise ModelError(f"{path}: written by another version of itb. Train again.")
        fields["feature_names"] = tuple(fields["feature_names"])
        manifest = Manifest(**{**fields, "coins": tuple(fields.get("coins", ()))})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: not a model manifest ({error}). Train again.") from None
    for file in (manifest.file, *([manifest.scales] if manifest.scales else [])):
        if not file or set(str(file)) & set("/\\"):
            raise ModelError(f"{path}: names the file {file!r}, expected a file beside it. Train again.")
    return manifest


def _algorithm(path: Path, name: str) -> Algorithm:
    if name not in ALGORITHMS:
        raise ModelError(f"{path}: made by algorithm {name!r}, which is none of {', '.join(ALGORITHMS)}")
    return ALGORITHMS[name]()
