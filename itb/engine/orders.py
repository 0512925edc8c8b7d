"""Order objects that cost half of backtrader's own, with the same attributes and values."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import backtrader as bt
from backtrader.order import BuyOrder, OrderBase, OrderData, SellOrder
from backtrader.utils import AutoOrderedDict

_new = object.__new__


@dataclass(frozen=True)
class Protection:
    """Stop-loss and take-profit that work from the entry's fill on, as fractions of the fill price (0 = none).

    Passed with an entry order as ``protect=Protection(...)``; the broker places both legs the moment it fills.
    """

    stop_loss: float = 0.0
    take_profit: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.stop_loss < 1:
            raise ValueError(f"stop_loss must be a fraction of the price in [0, 1), was {self.stop_loss}")
        if not self.take_profit >= 0:
            raise ValueError(f"take_profit must be a fraction of the price, 0 or more, was {self.take_profit}")


class _LightData(OrderData):
    def clone(self) -> Any:
        self.p1, self.p2 = self.p2, len(self.exbits)  # marks the new executions pending, as the stock clone does
        twin = _new(_LightData)
        twin.__dict__.update(self.__dict__)
        return twin


class _Light:
    """Copy by dictionary, and the end of the session computed only when somebody asks."""

    data: Any
    created: Any
    executed: Any

    @property
    def dteos(self) -> float:
        end: float | None = self.__dict__.get("_dteos")
        if end is None:
            created = self.data.num2date(self.created.dt)
            session = self.data.p.sessionend
            close = created.replace(
                hour=session.hour, minute=session.minute, second=session.second, microsecond=session.microsecond
            )
            if close < created:
                close += dt.timedelta(days=1)
            end = self.__dict__["_dteos"] = self.data.date2num(close)
        return end

    def clone(self) -> Any:
        twin = _new(type(self))
        twin.__dict__.update(self.__dict__)
        twin.executed = self.executed.clone()
        return twin


class LightBuy(_Light, BuyOrder):  # type: ignore[override]  # dteos is read-only here
    """A buy order."""


class LightSell(_Light, SellOrder):  # type: ignore[override]  # as above
    """A sell order."""


def make_order(cls: type[LightBuy | LightSell], fields: dict[str, Any]) -> Any:
    """Build an order from backtrader's own constructor arguments, without its metaclass machinery.

    Only for orders without trailing and without ``valid``; the broker gives all others to the stock constructor.
    """
    order = _new(cls)
    params = cls.params()
    for name, value in fields.items():
        setattr(params, name, value)
    signed = fields["size"] if cls.ordtype == OrderBase.Buy else -fields["size"]
    params.size = fields["size"]
    data, price, limit = fields["data"], fields["price"], fields["pricelimit"]
    close = data.close[0]
    order.params = order.p = params
    order.__dict__.update(
        ref=next(OrderBase.refbasis),
        broker=None,
        info=AutoOrderedDict(),
        comminfo=None,
        triggered=False,
        _active=fields["parent"] is None,
        status=OrderBase.Created,
        _plimit=limit,
        exectype=bt.Order.Market if fields["exectype"] is None else fields["exectype"],
        parent=fields["parent"],
        owner=fields["owner"],
        data=data,
        tradeid=fields["tradeid"],
        transmit=fields["transmit"],
        price=price,
        pricelimit=limit,
        size=signed,
        created=_LightData(
            dt=data.datetime[0],
            size=signed,
            price=close if not price and not limit else price,
            pricelimit=limit,
            pclose=close,
            trailamount=None,
            trailpercent=None,
        ),
        _limitoffset=0.0,
        executed=_LightData(remsize=signed),
        position=0,
        valid=None,
    )
    return order
