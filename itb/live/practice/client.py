"""Point a ccxt client at a practice exchange."""

from __future__ import annotations

from typing import Any

from itb.live.practice.guard import KEY, SECRET

_DEAD = "/nowhere"


def point_at(client: Any, url: str, *, key: str = KEY, secret: str = SECRET) -> Any:
    """Turn a ccxt ``binance`` client (sync, async or pro) to a practice exchange at ``url``; give it back.

    Every address that ccxt knows is replaced, so that nothing can reach the real exchange.
    """
    url = url.rstrip("/")
    sockets = "ws" + url.removeprefix("http")
    api: dict[str, Any] = client.urls["api"]
    known = {
        "public": f"{url}/api/v3",
        "private": f"{url}/api/v3",
        "v1": f"{url}/api/v1",
        "sapi": f"{url}/sapi/v1",
        "fapiPublic": f"{url}/fapi/v1",
        "dapiPublic": f"{url}/dapi/v1",
    }
    for name, old in api.items():
        if isinstance(old, str):
            api[name] = known.get(name, url + _DEAD)
    if isinstance(api.get("ws"), dict):
        _point_sockets(api["ws"], sockets)
        api["ws"]["spot"] = f"{sockets}/stream/ws"  # ccxt tells spot by the word stream
        api["ws"]["ws-api"]["spot"] = f"{sockets}/ws-api/v3"
    client.apiKey, client.secret = key, secret
    return client


def _point_sockets(urls: dict[str, Any], sockets: str) -> None:
    for name, old in urls.items():
        if isinstance(old, dict):
            _point_sockets(old, sockets)
        else:
            urls[name] = sockets + _DEAD
