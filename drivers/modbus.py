"""Any Modbus device whose registers are written down: in a profile, or where the device stands in the configuration."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pydantic import ValidationInfo, field_validator

from drivers.codecs.modbus_capture import decode_capture
from drivers.codecs.read_plan import ReadPlan
from drivers.codecs.register_map import LONGEST_READ, Register
from drivers.codecs.registers import Block
from drivers.codecs.unit import UnitOptions
from gateway import LabgateError, LinkError, ModbusLink, Options, Polled, Quantity, Reading

RTU_REQUEST = 8  # bytes: unit, function, address, count, checksum
ILLEGAL_FUNCTION = 1
REFUSALS = (ILLEGAL_FUNCTION, 2, 3)  # of a read that will never be answered: no such table, address, or so many at once
RTU_AROUND_DATA = 5  # bytes: unit, function, byte count, checksum


class ModbusOptions(UnitOptions):
    """A unit on a Modbus bus, its registers, and what its makers demand of those who ask."""

    max_registers: int = LONGEST_READ  # longest read the device takes; bits have their own limit, 2000
    max_gap: int = 0  # registers nobody asked for that a read may span
    one_table: bool = False  # functions 3 and 4 answer alike: a capture of either decodes
    registers: tuple[Register, ...]
    only: tuple[str, ...] | None = None  # read no others

    @field_validator("max_registers")
    @classmethod
    def _max_registers(cls, count: int) -> int:
        if not 1 <= count <= LONGEST_READ:
            raise ValueError(f"no read has {count} registers; write 1 to {LONGEST_READ}")
        return count

    @field_validator("max_gap")
    @classmethod
    def _max_gap(cls, count: int) -> int:
        if not 0 <= count < LONGEST_READ:
            raise ValueError(f"no read spans {count} registers; write 0 to {LONGEST_READ - 1}")
        return count

    @field_validator("registers")
    @classmethod
    def _registers(cls, registers: tuple[Register, ...], info: ValidationInfo) -> tuple[Register, ...]:
        if not registers:
            raise ValueError("nothing to read; write at least one register")
        names: set[str] = set()
        longest = info.data.get("max_registers", LONGEST_READ)
        for register in registers:
            for name in register.names:
                if name in names:
                    raise ValueError(f"two registers are named {name!r}; write another name for one of them")
                names.add(name)
            first, behind = register.extent
            if behind - first > longest:
                text = f"{register.name} takes a read of {behind - first} registers, max_registers is {longest}"
                raise ValueError(f"{text}; write a shorter `length` or a larger `max_registers`")
        return registers

    @field_validator("only")
    @classmethod
    def _only(cls, only: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if only is None or "registers" not in info.data:
            return only
        if not only:
            raise ValueError("nothing to read; write the names to read, or leave `only` out")
        known = [register.name for register in info.data["registers"]]
        for name in only:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                raise ValueError(f"no register is named {name!r}; write {near[0] if near else ', '.join(known)}")
        return only

    def warnings(self) -> list[tuple[tuple[str | int, ...], str, str]]:
        """Addresses that look like the old numbering, where 40017 is the holding register 16 on the wire."""
        found: list[tuple[tuple[str | int, ...], str, str]] = []
        for i, register in enumerate(self.registers):
            wire = register.numbered()
            if wire is not None:
                text = f"address {register.address} with table {register.table} looks like a register number"
                found.append((("registers", i, "address"), text, f"write {wire}, addresses count from 0"))
        return found

    @property
    def asked(self) -> tuple[Register, ...]:
        """The registers to read."""
        if self.only is None:
            return self.registers
        return tuple(register for register in self.registers if register.name in self.only)


@dataclass(frozen=True)
class Modbus(Polled):
    """Reads its registers block by block, one turn of the bus each, and decodes each block by one struct."""

    options: ModbusOptions
    link: ModbusLink

    @cached_property
    def plan(self) -> ReadPlan:
        """The reads of one `read`, and what is known of registers the device does not have."""
        return ReadPlan(self.options.asked, self.options.max_registers, self.options.max_gap)

    async def read(self) -> list[Reading]:
        """All registers asked for but those the device refuses. Raises LinkError and DecodeError.

        Of a device that fails half-way nothing is told.
        """
        plan, refused = self.plan, len(self.plan.refused)
        readings: list[Reading] = []
        try:
            for block in plan.blocks:
                readings += await self._readings(block)
            if (again := plan.due()) is not None:
                readings += await self._tried_again(again)
        finally:
            plan.settle()
        if not plan.blocks and plan.trouble is not None and len(plan.refused) > refused:
            raise plan.trouble
        return readings

    async def _readings(self, block: Block) -> list[Reading]:
        try:
            return block.decode(await self._ask(block))
        except LinkError as error:
            if error.reason != "exception" or error.code not in REFUSALS:
                raise
            parts = self.plan.parts(block) if error.code != ILLEGAL_FUNCTION else (block,)
            if len(parts) == 1:
                self.plan.refuse(block, error.code)
                return []
        changes, readings = self.plan.changes, []
        for part in parts:
            readings += await self._readings(part)
        if changes == self.plan.changes:
            self.plan.cut(parts[1])
        return readings

    async def _tried_again(self, block: Block) -> list[Reading]:
        try:
            readings = block.decode(await self._ask(block))
        except LinkError as error:
            if self.plan.blocks and error.reason == "exception":
                return []
            raise
        self.plan.accept()
        return readings

    async def _ask(self, block: Block) -> bytes:
        o = self.options
        return await self.link.read_block(o.unit_id, block.table, block.address, block.count, o.timeout, o.pause)

    def trouble(self) -> LabgateError | None:
        """Registers that the device refuses."""
        return self.plan.trouble

    def quantities(self) -> dict[str, Quantity]:
        """Unit and kind of each register asked for."""
        return {name: register.quantity for register in self.options.asked for name in register.names}

    def traffic(self) -> list[tuple[int, int]]:
        """Bytes asked and answered of each read, as RTU frames."""
        return [(RTU_REQUEST, RTU_AROUND_DATA + block.size) for block in self.plan.blocks]

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """A whole RTU frame, or the bare words of one; `context` as in drivers/codecs/modbus_capture.py."""
        if not isinstance(options, ModbusOptions):
            return decode_capture(None, data, context)
        return decode_capture(options.asked, data, context, options.one_table)
