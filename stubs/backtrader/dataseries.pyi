from typing import Any

from .linebuffer import LineBuffer
from .lineseries import LineSeries

class TimeFrame:
    Ticks: int
    MicroSeconds: int
    Seconds: int
    Minutes: int
    Days: int
    Weeks: int
    Months: int
    Years: int
    NoTimeFrame: int
    Names: list[str]
    names: list[str]
    @classmethod
    def getname(cls, tframe: int, compression: int | None = None) -> str: ...
    @classmethod
    def TFrame(cls, name: str) -> int: ...
    @classmethod
    def TName(cls, tframe: int) -> str: ...

class DataSeries(LineSeries):
    Close: int
    Low: int
    High: int
    Open: int
    Volume: int
    OpenInterest: int
    DateTime: int
    LineOrder: list[int]
    _name: str
    _compression: int
    _timeframe: int
    def getwriterheaders(self) -> list[str]: ...
    def getwritervalues(self) -> list[Any]: ...
    def getwriterinfo(self) -> Any: ...

class OHLC(DataSeries):
    close: LineBuffer
    low: LineBuffer
    high: LineBuffer
    open: LineBuffer
    volume: LineBuffer
    openinterest: LineBuffer

class OHLCDateTime(OHLC):
    datetime: LineBuffer
