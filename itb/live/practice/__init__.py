"""The practice exchange: a Binance-compatible spot venue on this machine that replays bars and breaks on demand.

The venue (orders, money, prices, time) is pure; ``server`` puts HTTP and websockets around it, ``faults`` says what
goes wrong when.
"""
