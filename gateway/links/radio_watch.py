"""Keeps the scan of one adapter going: follows bluetoothd and the adapter, notices silence, and climbs a ladder.

Rule numbers are those of README.md, A Bluetooth radio.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable

from gateway.config_ble import BleLinkConfig
from gateway.errors import LinkError
from gateway.links import ble
from gateway.links.bluez import AdapterInfo, Bluez
from gateway.links.pairing import quiet_agent
from gateway.links.sightings import Sightings
from gateway.supervisor import undisturbed

log = logging.getLogger("labgate.radio")

QUIET = 45.0  # s without an advert of anybody after which the scan is begun anew
STEP = 15.0  # s for each rung of the ladder to help
AGAIN = (300.0, 3600.0)  # s until the ladder is climbed once more, first and longest
RETRY = (1.0, 30.0)  # s between looks for what tells nothing when it is back, first and longest
SWITCHED_WITHIN = 5.0  # s until an adapter that was switched on is on


class Watch:
    """The scan of one adapter, and why there is none.

    `told` is called when there is trouble, a LinkError, and with None when it is over. `busy` says whether anything
    comes over connections: then the adapter is not switched off to make it hear. Peers that are `ours` may pair.
    """

    def __init__(
        self,
        link: str,
        config: BleLinkConfig,
        sightings: Sightings,
        told: Callable[[LinkError | None], None],
        busy: Callable[[], bool],
        ours: Callable[[str], bool],
    ) -> None:
        self._link, self._config, self._sightings = link, config, sightings
        self._told, self._busy, self._ours = told, busy, ours
        self._stirred = asyncio.Event()
        self._bluez = Bluez(link, self._changed)
        self._adapter: AdapterInfo | None = None  # that there was last
        self._scanner: ble.Scanner | None = None
        self._trouble: LinkError | None = None
        self._interrupted = False  # what the scan was begun on has gone, or was off
        self._cycling = False  # the adapter is being switched off and on
        self._switched_off = False  # by us, and is not on again
        self._since = -math.inf  # loop time of the begin of the scan
        self._rung = 0  # of the ladder, the next
        self._climbs = 0  # of the whole ladder
        self._rests_until = -math.inf  # loop time until which the ladder is not climbed
        self._answers: bool | None = None  # bluetoothd when a peer pairs (rule 16); None: it need not
        self._retries = 0
        self._revived = False  # a restart of bluetoothd was asked for since it ran last

    async def run(self) -> None:
        """For ever."""
        try:
            while True:
                self._stirred.clear()
                pause = await self._step()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stirred.wait()
        finally:
            await undisturbed(self._close())

    async def _close(self) -> None:
        await self._stop()
        await self._bluez.close()

    def answer(self) -> None:
        """From now on there are peers that may want to be paired; who only hears adverts takes no agent from others."""
        if self._answers is None:
            self._answers = False
            self._stirred.set()

    async def left_over(self) -> list[tuple[ble.BLEDevice, ble.Sent]]:
        """Devices that are connected (rule 7); none while there is no scan."""
        if self._scanner is None or self._adapter is None:
            return []
        return await ble.left_over(self._adapter.index)

    async def forget_services(self, address: str) -> None:
        """Have bluetoothd find the services of a peer anew, unless its pairing would be lost with them (rule 12)."""
        if self._adapter is not None:
            try:
                if not await self._bluez.is_bonded(self._adapter, address):
                    await self._bluez.remove(self._adapter, address)
            except LinkError as error:
                log.debug("link %s: %s", self._link, error)

    def _changed(self) -> None:
        """bluetoothd or an adapter came, went, or was switched: links and the scan are lost (rules 2, 3, 17)."""
        self._stirred.set()
        ble.drain()
        if not self._bluez.running:
            ble.forget()
        try:
            self._find()
        except LinkError as error:
            self._interrupted = True  # also a scan that is about to begin
            if self._scanner is not None and not self._cycling:
                self._tell(error)

    def _find(self) -> AdapterInfo:
        """The adapter, on. Raises LinkError."""
        try:
            adapter = self._bluez.find(self._config.ble)
        except LinkError as error:
            if self._adapter is None or not self._bluez.running:
                raise
            text = f"Bluetooth adapter {self._config.ble} went away: link {self._link}; plug it in again"
            raise LinkError(text, "unplugged") from error
        if adapter.powered:
            return adapter
        do = "`sudo rfkill unblock bluetooth`" if adapter.blocked else "`bluetoothctl power on`"
        text = f"Bluetooth adapter {self._config.ble} is {'blocked by rfkill' if adapter.blocked else 'off'}"
        raise LinkError(f"{text}: link {self._link}; {do}", "refused")

    def _tell(self, error: LinkError | None) -> None:
        """Once for each change."""
        if (error and (error.reason, str(error))) != (self._trouble and (self._trouble.reason, str(self._trouble))):
            self._trouble = error
            self._told(error)

    async def _step(self) -> float | None:
        """Do what is to be done now; s until the next look, None: when something changes."""
        loop = asyncio.get_running_loop()
        if self._interrupted:
            self._interrupted = False
            await self._stop()
        try:
            await self._bluez.open()
            adapter = self._find()
        except LinkError as error:
            await self._stop()
            return await self._revive(error)
        self._adapter = adapter
        if self._answers is False:
            self._answers = True
            try:
                await self._bluez.register_agent(quiet_agent(self._ours))
            except LinkError as error:
                log.warning("%s", error)
        if self._scanner is None:
            return await self._start(adapter)
        heard = self._sightings.heard_at
        if heard > self._since:
            self._rung = self._climbs = 0
            self._rests_until = -math.inf
        self._scanner.prune(self._sightings.prune(loop.time()).__contains__)
        wait = max(max(self._since, heard) + (STEP if self._rung else QUIET), self._rests_until) - loop.time()
        return wait if wait > 0 else await self._climb(adapter)

    async def _start(self, adapter: AdapterInfo) -> float | None:
        scanner = ble.Scanner(adapter.index, self._config.passive, self._link, self._sightings.heard)
        try:
            await scanner.start()
        except LinkError as error:
            return await self._not_started(error, adapter)
        self._scanner, self._since = scanner, asyncio.get_running_loop().time()
        self._retries, self._revived = 0, False
        if self._trouble is not None and self._trouble.reason != "silent":  # that is over when something is heard
            self._tell(None)
        self._sightings.begun()
        await self._release(adapter)
        return STEP if self._rung else QUIET

    async def _not_started(self, error: LinkError, adapter: AdapterInfo) -> float:
        if self._interrupted or not self._bluez.running:
            return 0.0
        self._tell(error)
        if error.reason in ("timeout", "network", "busy"):
            return max(await self._climb(adapter), RETRY[0])
        return self._retry_pause()

    def _retry_pause(self) -> float:
        self._retries += 1
        return float(min(RETRY[0] * 2 ** min(self._retries - 1, 10), RETRY[1]))

    async def _stop(self) -> None:
        self._sightings.clear()
        if self._scanner is not None:
            scanner, self._scanner = self._scanner, None
            await scanner.stop()

    async def _release(self, adapter: AdapterInfo) -> None:
        """Disconnect who is wanted to advertise and is connected, left over from another life (rule 7)."""
        try:
            for address in await self._bluez.connected(adapter):
                if address in self._sightings.addresses and not self._ours(address):
                    await self._bluez.disconnect(adapter, address)
        except LinkError as error:
            log.debug("link %s: %s", self._link, error)

    # -- the ladder: rule 18 ------------------------------------------------------------------------------------

    async def _climb(self, adapter: AdapterInfo) -> float:
        """The scan fails or hears nothing: the next thing that may help; s until the next look."""
        rung, self._rung = self._rung, self._rung + 1
        await self._stop()
        if rung and self._busy():
            rung = 3
        match rung:
            case 0:
                log.debug("link %s: the scan is begun anew", self._link)
            case 1:
                log.warning("link %s: adapter %s is switched off and on, it hears nothing", self._link, adapter.address)
                await self._switch_off_and_on(adapter)
            case 2:
                log.warning("link %s: a restart of bluetoothd is asked for, it hears nothing", self._link)
                if await self._restart_service():
                    return STEP  # it is told when it goes and comes
            case _:
                return self._give_up()
        return 0.0

    async def _switch_off_and_on(self, adapter: AdapterInfo) -> None:
        self._cycling = self._switched_off = True
        try:
            await self._bluez.set_powered(adapter, False)
            await self._switch_on(adapter)
        except LinkError as error:
            log.warning("%s", error)
        finally:
            self._cycling = False

    async def _switch_on(self, adapter: AdapterInfo) -> None:
        """Raises LinkError."""
        await self._bluez.set_powered(adapter, True)
        self._switched_off = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SWITCHED_WITHIN):
                while not self._bluez.find(adapter.address).powered:
                    self._stirred.clear()
                    await self._stirred.wait()

    async def _restart_service(self) -> bool:
        try:
            await self._bluez.restart_service()
        except LinkError as error:
            log.warning("%s", error)
            return False
        return True

    def _give_up(self) -> float:
        """Nothing has helped: say so; the scan is begun once more, and the ladder is climbed again much later."""
        rest = float(min(AGAIN[0] * 2**self._climbs, AGAIN[1]))
        self._rung, self._climbs = 0, self._climbs + 1
        self._rests_until = asyncio.get_running_loop().time() + rest
        if self._trouble is not None and self._trouble.reason != "silent":
            return rest  # the scan does not even begin; that is told
        what = f"Bluetooth adapter {self._config.ble} hears nothing, also after the scan was begun anew"
        do = "bring a device near; else pull the adapter and plug it in again, or restart the host"
        self._tell(LinkError(f"{what}: link {self._link}; {do}", "silent"))
        self._sightings.on_sound = self._sounded
        return 0.0

    def _sounded(self) -> None:
        if self._trouble is not None and self._trouble.reason == "silent":
            self._tell(None)

    async def _revive(self, error: LinkError) -> float | None:
        """There is no adapter, or no bluetoothd, or no bus: s until the next look."""
        self._tell(error)
        if self._bluez.running:
            if not self._switched_off or self._adapter is None:
                return None
            with contextlib.suppress(LinkError):  # what is told is that it is off
                await self._switch_on(self._adapter)
            return self._retry_pause()
        if self._retries > 1 and error.reason == "missing" and not self._revived:
            self._revived = True
            with contextlib.suppress(LinkError):  # what is told is that it does not run
                await self._bluez.restart_service()
        return self._retry_pause()
