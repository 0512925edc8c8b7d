"""scikit-learn models as skops files: written the same way each time, read only if every type in them is expected.

Models whose own scikit-learn objects could be made to read outside their memory (trees), or hold more than a score
needs (networks, support vectors), are written as plain arrays of numbers.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

_ARRAYS = frozenset({"builtins.dict", "builtins.list", "builtins.str", "numpy.ndarray"})
_KIND = "kind"
_SCHEMA = "schema.json"
_STAMP = (1980, 1, 1, 0, 0, 0)


def dump(estimator: object) -> bytes:
    """Give the skops file of an estimator, the same bytes each time.

    skops names its parts by memory address and stamps them with the clock; here they are numbered, without a time.
    """
    import skops.io

    source = zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator)))
    schema = json.loads(source.read(_SCHEMA))
    numbers: dict[int, int] = {}
    files: dict[str, str] = {}
    _renumber(schema, numbers, files)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for old, new in files.items():
            archive.writestr(zipfile.ZipInfo(new, _STAMP), source.read(old))
        archive.writestr(zipfile.ZipInfo(_SCHEMA, _STAMP), json.dumps(schema))
    return target.getvalue()


def _renumber(node: Any, numbers: dict[int, int], files: dict[str, str]) -> None:
    if isinstance(node, dict):
        if "__id__" in node:
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
        if node.get("type") == "numpy" and "file" in node:
            node["file"] = files.setdefault(node["file"], f"{len(files) + 1}.npy")
        for child in node.values():
            _renumber(child, numbers, files)
    elif isinstance(node, list):
        for child in node:
            _renumber(child, numbers, files)


def load(content: bytes, allowed: frozenset[str]) -> Any:
    """Read a skops file in which no type other than ``allowed`` is named (``"module.Class"``).

    The list is checked before anything is built, and it is stricter than skops', which trusts all of scikit-learn.
    Raises :class:`itb.errors.ModelError` for a foreign, torn or unexpected file.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        schema = json.loads(zipfile.ZipFile(io.BytesIO(content)).read(_SCHEMA))
    except (zipfile.BadZipFile, KeyError, ValueError, NotImplementedError) as error:
        raise ModelError(f"not a skops file ({error}). Train the model again.") from None
    strangers = sorted(_types(schema) - allowed)
    if strangers:
        raise ModelError(f"refused to load a model that holds {', '.join(strangers)}: not what this algorithm writes")
    try:
        return skops.io.loads(content, trusted=[])
    except (UntrustedTypesFoundException, KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise ModelError(f"the skops file cannot be read ({error}). Train the model again.") from None


def _types(node: Any) -> set[str]:
    found: set[str] = set()
    if isinstance(node, dict):
        if "__class__" in node:
            found.add(f"{node.get('__module__')}.{node['__class__']}")
        for child in node.values():
            found |= _types(child)
    elif isinstance(node, list):
        for child in node:
            found |= _types(child)
    return found


def dump_arrays(kind: str, arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Give the skops file of plain arrays of numbers, and of the kind of model that they are."""
    return dump({_KIND: kind, **{name: np.ascontiguousarray(array) for name, array in arrays.items()}})


def load_arrays(content: bytes, kind: str, names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of a kind of model back: nothing but finite numbers, float64 or int64, by these names.

    Raises :class:`itb.errors.ModelError` for anything else.
    """
    found = load(content, _ARRAYS)
    if not isinstance(found, dict) or found.get(_KIND) != kind:
        held = found.get(_KIND) if isinstance(found, dict) else type(found).__name__
        raise ModelError(f"the skops file holds {held!r}, expected a model of {kind!r}. Train it again.")
    arrays = {name: array for name, array in found.items() if name != _KIND}
    if set(arrays) != set(names):
        raise ModelError(f"the skops file holds {', '.join(map(str, arrays))}, not {', '.join(names)}. Train it again.")
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype not in (np.float64, np.int64):
            raise ModelError(f"{name!r} in the skops file is no array of numbers. Train it again.")
        if not np.isfinite(array).all():
            raise ModelError(f"{name!r} in the skops file holds numbers that are not finite. Train it again.")
    return arrays
