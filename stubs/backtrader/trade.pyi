from collections.abc import Iterator
from datetime import datetime as DateTime
from typing import Any

from .comminfo import CommInfoBase
from .feed import DataBase
from .order import Order
from .utils import AutoOrderedDict

class TradeHistory(AutoOrderedDict): ...

class Trade:
    refbasis: Iterator[int]
    status_names: list[str]
    Created: int
    Open: int
    Closed: int
    ref: int
    data: DataBase
    tradeid: int
    size: float
    price: float
    value: float
    commission: float
    pnl: float
    pnlcomm: float
    justopened: bool
    isopen: bool
    isclosed: bool
    baropen: int
    dtopen: float
    barclose: int
    dtclose: float
    barlen: int
    long: bool
    historyon: bool
    history: list[TradeHistory]
    status: int
    def __init__(
        self,
        data: Any = None,
        tradeid: int = 0,
        historyon: bool = False,
        size: float = 0,
        price: float = 0.0,
        value: float = 0.0,
        commission: float = 0.0,
    ) -> None: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def getdataname(self) -> str: ...
    def open_datetime(self, tz: Any = None, naive: bool = True) -> DateTime: ...
    def close_datetime(self, tz: Any = None, naive: bool = True) -> DateTime: ...
    def update(
        self,
        order: Order,
        size: float,
        price: float,
        value: float,
        commission: float,
        pnl: float,
        comminfo: CommInfoBase,
    ) -> None: ...
