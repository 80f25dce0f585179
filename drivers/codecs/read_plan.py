"""The reads of one Modbus device, and what was learned of registers it does not have. Pure: it is told what happens."""

from collections.abc import Sequence

from drivers.codecs.register_map import Register
from drivers.codecs.registers import Block, plan
from gateway import MODBUS_EXCEPTIONS, LinkError, Table

TRIED_AGAIN = 60  # reads after which one refused register is asked for again
NAMED = 4  # refused registers that a text names


class ReadPlan:
    """`blocks` are the reads of one turn. What is refused is divided until the bad register is found.

    A register refused alone is left out, and asked for again now and then. Where a read is refused though each part
    of it is answered, a hole lies between the parts, or it was too long: no read crosses that place any more.
    """

    def __init__(self, registers: Sequence[Register], max_registers: int, max_gap: int) -> None:
        self._registers, self._max = registers, (max_registers, max_gap)
        self._cuts: set[tuple[Table, int]] = set()
        self._reads = 0
        self.refused: dict[str, tuple[Register, int]] = {}  # name -> register, exception code; longest refused first
        self.changes = 0  # of what is known
        self._planned = -1
        self.trouble: LinkError | None = None
        self.blocks: tuple[Block, ...] = ()
        self.settle()

    def settle(self) -> None:
        """A turn is over: what was learned in it is the plan of the next one."""
        if self._planned == self.changes:
            return
        self._planned = self.changes
        good = [register for register in self._registers if register.name not in self.refused]
        edges = {(register.table, edge) for register, _ in self.refused.values() for edge in register.extent}
        self.blocks = plan(good, *self._max, breaks=self._cuts | edges)
        self.trouble = self._tell() if self.refused else None

    def parts(self, block: Block) -> tuple[Block, ...]:
        """A refused read in two; one part where it cannot be divided."""
        inside = self._inside(block)
        places = sorted({register.extent[0] for register in inside} - {block.address})
        for place in sorted(places, key=lambda place: abs(2 * (place - block.address) - block.count)):
            if not any(register.extent[0] < place < register.extent[1] for register in inside):
                return plan(inside, *self._max, breaks={*self._cuts, (block.table, place)})
        return (block,)

    def cut(self, part: Block) -> None:
        """All parts were answered: no read goes into this one from before it."""
        self._cuts.add((part.table, part.address))
        self.changes += 1

    def refuse(self, block: Block, code: int) -> None:
        """The device has no such registers."""
        for register in self._inside(block):
            self.refused[register.name] = (register, code)
        self.changes += 1

    def due(self) -> Block | None:
        """A refused register to ask for once more, now and then, and whenever there is nothing else to ask for."""
        self._reads += 1
        if not self.refused or (self.blocks and self._reads % TRIED_AGAIN):
            return None
        register, code = self.refused.pop(next(iter(self.refused)))
        self.refused[register.name] = (register, code)  # the others come first next time
        return plan([register], *self._max)[0]

    def accept(self) -> None:
        """One that was refused is answered: the device is another now than it was, and all are tried again."""
        self.refused.clear()
        self._cuts.clear()
        self.changes += 1

    def _inside(self, block: Block) -> list[Register]:
        start, end = block.address, block.address + block.count
        return [
            register
            for register in self._registers
            if register.table == block.table and start <= register.extent[0] and register.extent[1] <= end
        ]

    def _tell(self) -> LinkError:
        named = [
            f"{name} ({register.table} {register.address}, exception {code}: {MODBUS_EXCEPTIONS.get(code, 'unknown')})"
            for name, (register, code) in list(self.refused.items())[:NAMED]
        ]
        if len(self.refused) > NAMED:
            named.append(f"{len(self.refused) - NAMED} more")
        text = f"the device refuses {', '.join(named)}: left out, and tried again now and then"
        return LinkError(f"{text}; correct the registers, or leave them out (only)", "exception", code=2)
