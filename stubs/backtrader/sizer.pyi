from typing import Any

from .brokers.bbroker import BackBroker
from .comminfo import CommInfoBase
from .metabase import ParamsBase
from .strategy import Strategy

class Sizer(ParamsBase):
    strategy: Strategy
    broker: BackBroker
    def __init__(self, **kwargs: Any) -> None: ...
    def getsizing(self, data: Any, isbuy: bool) -> float: ...
    def _getsizing(self, comminfo: CommInfoBase, cash: float, data: Any, isbuy: bool) -> float: ...
    def set(self, strategy: Strategy, broker: BackBroker) -> None: ...

SizerBase = Sizer
