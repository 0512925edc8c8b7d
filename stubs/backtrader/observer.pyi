from .lineiterator import ObserverBase

class Observer(ObserverBase):
    _stclock: bool
    def start(self) -> None: ...
