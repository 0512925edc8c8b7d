"""Safetensors files: what is written comes back, what was damaged is refused."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from itb.errors import ModelError
from itb.mlmodels.deep.tensors import dump_tensors, load_tensors

KINDS = st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_])
ARRAYS = KINDS.flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0)))
TEXTS = st.text(max_size=8)


@given(
    st.dictionaries(TEXTS.filter(lambda name: name != "__metadata__"), ARRAYS, max_size=4),
    st.dictionaries(TEXTS, TEXTS, max_size=3),
)
def test_what_is_written_comes_back_bit_for_bit(given_arrays, metadata):
    content = dump_tensors(given_arrays, metadata)
    found, told = load_tensors(content)
    assert told == metadata
    assert {name: (one.dtype, one.shape, one.tobytes()) for name, one in found.items()} == {
        name: (one.dtype, one.shape, one.tobytes()) for name, one in given_arrays.items()
    }
    assert dump_tensors(dict(reversed(found.items())), told) == content


def test_the_bytes_are_those_of_the_format():
    content = dump_tensors({"w": np.array([[1.0, 2.0]], dtype=np.float32)}, {})
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert length % 8 == 0
    assert header == {"__metadata__": {}, "w": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}}
    assert content[8 + length :] == np.array([1, 2], dtype="<f4").tobytes()


GOOD = dump_tensors({"a": np.arange(3.0), "b": np.ones((2, 2), dtype=np.float32)}, {"kind": "x"})


@given(st.integers(0, len(GOOD) - 1))
def test_a_file_cut_anywhere_is_refused(length):
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_tensors(GOOD[:length])


@given(
    st.binary(max_size=64)
    | st.integers(0, len(GOOD) - 1).map(lambda i: GOOD[:i] + bytes([GOOD[i] ^ 1]) + GOOD[i + 1 :])
)
def test_a_damaged_file_is_refused_or_read_but_never_fails_otherwise(content):
    with contextlib.suppress(ModelError):
        load_tensors(content)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}, "lies at"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, "of shape"),
        ({"dtype": "F32", "shape": [-1, -2], "data_offsets": [0, 8]}, "lies at"),
        ({"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}, "lies at"),
        ({"dtype": "O", "shape": [1], "data_offsets": [0, 8]}, "'O'"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "belong to nothing"),
    ],
)
def test_arrays_must_lie_side_by_side_inside_the_file(entry, told):
    header = json.dumps({"w": entry}).encode()
    with pytest.raises(ModelError, match=told):
        load_tensors(len(header).to_bytes(8, "little") + header + bytes(8))
