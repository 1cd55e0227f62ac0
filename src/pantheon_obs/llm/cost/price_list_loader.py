"""Load genai-prices in the background, once in each process.

That takes up to some seconds, so it never happens within a call: a call that ends before waits for
nothing and has no list price. The thread starts when the application does, else with its first
call. A module that is half imported could never be imported in a forked process, so a fork waits.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Context, setcontext
from importlib import import_module
from importlib.util import find_spec
from threading import Lock, Thread
from typing import Any

from pantheon_obs.core.finalizers import apart
from pantheon_obs.core.guard import report
from pantheon_obs.core.installed import imported
from pantheon_obs.core.native import is_forked_later
from pantheon_obs.core.runtime import on_fork
from pantheon_obs.llm.cost.price_list import PriceList
from pantheon_obs.products import WORKER_NUMBERS

PACKAGE = "genai_prices"
_DATA = f"{PACKAGE}.data"
_LONGEST = 10.0  # seconds that a fork waits
_LEAST = 1e-9  # USD

WhenLoaded = Callable[[PriceList], object]


class ListLoader:
    """Loads the list once; `prices` is None until then, and if there is none.

    `waiting` says that nobody has asked for it yet.
    """

    def __init__(self) -> None:
        self.prices: PriceList | None = None
        self.waiting = True
        self._is_prepared = False
        self._thread: Thread | None = None
        self._started = Lock()  # taken once, by whoever loads it
        self._checks: list[WhenLoaded] = []

    def prepare(self) -> None:
        """Import httpx2, which SDKs on httpx take from sys.modules: a thread may leave half of it.

        That is decided once, where a function is decorated: such an SDK may be imported later.
        """
        if self._is_prepared:
            return
        self._is_prepared = True
        with suppress(ImportError, ValueError):  # which `load` meets again, and reports
            if find_spec("httpx") is not None and find_spec(PACKAGE) is not None:
                import_module("httpx2")

    def load(self) -> None:
        """Start to load the list, unless that was done. Returns at once."""
        if is_forked_later(WORKER_NUMBERS):  # the workers load it
            return
        self.prepare()
        self.waiting = False
        if not self._started.acquire(blocking=False):
            return
        try:
            if imported(_DATA) is not None:
                self._read()  # the application has imported it
            elif find_spec(PACKAGE) is not None:
                thread = Thread(target=self._read, name="pantheon-obs-prices", daemon=True)
                thread.start()
                self._thread = thread
                on_fork(before=self.wait)
        except Exception as error:  # noqa: BLE001 - no thread can be started, for example
            report(PACKAGE, error)

    def wait(self) -> None:
        """Wait until the list is loaded, if that has begun."""
        if self._thread is not None:
            self._thread.join(_LONGEST)

    def when_loaded(self, check: WhenLoaded) -> None:
        """Run a check of the application's prices as soon as the list is there."""
        self._checks.append(check)
        self._run_checks()

    def _read(self) -> None:
        try:
            genai_prices = import_module(PACKAGE)
            import_module(_DATA)
            prices = PriceList(genai_prices)
            apart(_compare, prices, genai_prices)
            self.prices = prices
            self._run_checks()
        except Exception as error:  # noqa: BLE001 - it is installed, but broken
            report(PACKAGE, error)

    def _run_checks(self) -> None:
        while self.prices is not None and self._checks:
            self._checks.pop(0)(self.prices)


def _compare(prices: PriceList, genai_prices: Any) -> None:
    """Raise if this version of genai-prices computes in another way than `PriceList`."""
    setcontext(Context(prec=60))  # in the copied context only
    counts = {"input_tokens": 300_000, "output_tokens": 700, "cache_read_tokens": 9}
    usage = genai_prices.Usage(**counts)
    for seller in genai_prices.data_snapshot.get_snapshot().providers:
        for model in seller.models[:1]:
            listed = prices.listed(model.id, None, seller.id)
            ours = None if listed is None else listed.price(counts)
            if ours is not None:
                theirs = genai_prices.calc_price(usage, model.id, provider_id=seller.id).total_price
                if abs(ours - float(theirs)) > _LEAST:
                    msg = f"genai-prices computes {theirs}, and not {ours}"
                    raise ValueError(msg)


loader = ListLoader()
