from collections import deque
from collections.abc import Iterator
from datetime import timedelta as TimeDelta
from typing import Any, Self

from .comminfo import CommInfoBase
from .feed import DataBase
from .metabase import ParamsBase
from .utils import AutoOrderedDict

class OrderExecutionBit:
    dt: float | None
    size: float
    price: float
    closed: float
    opened: float
    closedvalue: float
    openedvalue: float
    closedcomm: float
    openedcomm: float
    value: float
    comm: float
    pnl: float
    psize: float
    pprice: float
    def __init__(
        self,
        dt: float | None = None,
        size: float = 0,
        price: float = 0.0,
        closed: float = 0,
        closedvalue: float = 0.0,
        closedcomm: float = 0.0,
        opened: float = 0,
        openedvalue: float = 0.0,
        openedcomm: float = 0.0,
        pnl: float = 0.0,
        psize: float = 0,
        pprice: float = 0.0,
    ) -> None: ...

class OrderData:
    pclose: float
    exbits: deque[OrderExecutionBit]
    p1: int
    p2: int
    dt: float | None
    size: float
    remsize: float
    price: float
    pricelimit: float | None
    trailamount: float | None
    trailpercent: float | None
    plimit: float | None
    value: float
    comm: float
    margin: float | None
    pnl: float
    psize: float
    pprice: float
    def __init__(
        self,
        dt: float | None = None,
        size: float = 0,
        price: float | None = 0.0,
        pricelimit: float | None = 0.0,
        remsize: float = 0,
        pclose: float = 0.0,
        trailamount: float | None = 0.0,
        trailpercent: float | None = 0.0,
    ) -> None: ...
    def __len__(self) -> int: ...
    def __getitem__(self, key: int) -> OrderExecutionBit: ...
    def add(
        self,
        dt: float,
        size: float,
        price: float,
        closed: float = 0,
        closedvalue: float = 0.0,
        closedcomm: float = 0.0,
        opened: float = 0,
        openedvalue: float = 0.0,
        openedcomm: float = 0.0,
        pnl: float = 0.0,
        psize: float = 0,
        pprice: float = 0.0,
    ) -> None: ...
    def addbit(self, exbit: OrderExecutionBit) -> None: ...
    def getpending(self) -> list[OrderExecutionBit]: ...
    def iterpending(self) -> Iterator[OrderExecutionBit]: ...
    def markpending(self) -> None: ...
    def clone(self) -> Self: ...

class OrderBase(ParamsBase):
    DAY: TimeDelta
    T_Close: int
    T_Day: int
    T_Date: int
    T_None: int
    V_None: range
    Market: int
    Close: int
    Limit: int
    Stop: int
    StopLimit: int
    StopTrail: int
    StopTrailLimit: int
    Historical: int
    ExecTypes: list[str]
    OrdTypes: list[str]
    Buy: int
    Sell: int
    Created: int
    Submitted: int
    Accepted: int
    Partial: int
    Completed: int
    Canceled: int
    Cancelled: int
    Expired: int
    Margin: int
    Rejected: int
    Status: list[str]
    refbasis: Iterator[int]

    ordtype: int
    ref: int
    broker: Any
    info: AutoOrderedDict
    comminfo: CommInfoBase | None
    triggered: bool
    status: int
    plimit: float | None
    created: OrderData
    executed: OrderData
    position: float
    dteos: float
    plen: int
    pannotated: float | None
    owner: Any
    data: DataBase
    size: float
    price: float | None
    pricelimit: float | None
    exectype: int
    valid: Any
    tradeid: int
    oco: Any
    trailamount: float | None
    trailpercent: float | None
    parent: Any
    transmit: bool
    simulated: bool
    histnotify: bool
    _active: bool
    _limitoffset: float
    _plimit: float | None
    def __init__(self, **kwargs: Any) -> None: ...
    def clone(self) -> Self: ...
    def getstatusname(self, status: int | None = None) -> str: ...
    def getordername(self, exectype: int | None = None) -> str: ...
    @classmethod
    def ExecType(cls, exectype: str) -> int: ...
    def ordtypename(self, ordtype: int | None = None) -> str: ...
    def active(self) -> bool: ...
    def activate(self) -> None: ...
    def alive(self) -> bool: ...
    def addcomminfo(self, comminfo: CommInfoBase) -> None: ...
    def addinfo(self, **kwargs: Any) -> None: ...
    def isbuy(self) -> bool: ...
    def issell(self) -> bool: ...
    def setposition(self, position: float) -> None: ...
    def submit(self, broker: Any = None) -> None: ...
    def accept(self, broker: Any = None) -> None: ...
    def brokerstatus(self) -> int: ...
    def reject(self, broker: Any = None) -> bool: ...
    def cancel(self) -> None: ...
    def margin(self) -> None: ...
    def completed(self) -> None: ...
    def partial(self) -> None: ...
    def execute(
        self,
        dt: float,
        size: float,
        price: float,
        closed: float,
        closedvalue: float,
        closedcomm: float,
        opened: float,
        openedvalue: float,
        openedcomm: float,
        margin: float | None,
        pnl: float,
        psize: float,
        pprice: float,
    ) -> None: ...
    def expire(self) -> bool: ...
    def trailadjust(self, price: float) -> None: ...

class Order(OrderBase): ...
class BuyOrder(Order): ...
class StopBuyOrder(BuyOrder): ...
class StopLimitBuyOrder(BuyOrder): ...
class SellOrder(Order): ...
class StopSellOrder(SellOrder): ...
class StopLimitSellOrder(SellOrder): ...
