from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.charts.encoding import escape, json_for_page, pack, pack_times

trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(tree=trees)
def test_json_in_the_page_reads_back_as_it_was_and_holds_no_markup(tree: object) -> None:
    text = json_for_page(tree)
    assert json.loads(text) == tree
    assert not set("<>&") & set(text)


@given(values=st.lists(st.floats(width=32), max_size=20))
def test_packed_numbers_read_back(values: list[float]) -> None:
    packed = pack(np.array(values))
    assert np.array_equal(np.frombuffer(base64.b64decode(packed["bdata"]), "<f4"), values, equal_nan=True)


def test_times_are_packed_as_whole_seconds() -> None:
    packed = pack_times(np.array([1_709_251_200_000]))
    assert np.frombuffer(base64.b64decode(packed["bdata"]), "<u4").tolist() == [1_709_251_200]


@pytest.mark.parametrize("text", ["<b>", "a&b", '"', "'"])
def test_escaped_text_holds_no_markup(text: str) -> None:
    assert text not in escape(text)
