from __future__ import annotations

import pytest

from itb.datafeeds.waves import sinus
from itb.market.bars import Bars


@pytest.fixture
def bars() -> Bars:
    return sinus(bars=40)
