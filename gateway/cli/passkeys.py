"""What a person is asked while a device pairs: passkeys in the terminal, or as given beforehand."""

import asyncio
import os
import sys

from gateway.cli import show
from gateway.links.pairing import Question


class Person:
    """Answers for one device, and for no other. `refused` says why it was not answered as it wants."""

    def __init__(self, address: str, passkey: str | None, as_json: bool) -> None:
        self.address, self.passkey, self.as_json = address, passkey, as_json
        self.refused = ""

    async def answer(self, question: Question) -> str | None:
        """As gateway.links.pairing.Answer."""
        if question.address != self.address:
            return None
        match question.wanted:
            case "consent":
                return "yes"
            case "type":
                if self.as_json:
                    show.json_line({"address": self.address, "type": question.number})
                else:
                    print(f"type {question.number} into the device")
                return "shown"
            case "compare":
                return await self._compare(question.number)
        return self.passkey or await self._line(f"{question.wanted} that the device shows, or has on its label: ")

    async def _compare(self, number: str) -> str | None:
        if self.passkey is None:
            said = await self._line(f"does the device show {number}? [y/N] ")
            if said is None:
                return None
            same = said.lower() in ("y", "yes")
        else:
            same = int(self.passkey) == int(number)
        if not same:
            self.refused = f"{self.address} was not paired: it shows another number; try again, away from others"
        return "yes" if same else None

    async def _line(self, prompt: str) -> str | None:
        """A line from the terminal; None where there is none."""
        if sys.stdin is None or not sys.stdin.isatty():
            self.refused = (
                f"{self.address} wants a passkey, and nobody is here to ask; run it in a terminal, or give --passkey"
            )
            return None
        print(prompt, end="", file=sys.stderr if self.as_json else sys.stdout, flush=True)
        loop = asyncio.get_running_loop()
        said: asyncio.Future[bytes] = loop.create_future()
        fd = sys.stdin.fileno()

        def read() -> None:
            if not said.done():
                said.set_result(os.read(fd, 1000))

        loop.add_reader(fd, read)  # a thread that reads could not be ended
        try:
            return (await said).decode(errors="replace").strip()
        finally:
            loop.remove_reader(fd)
