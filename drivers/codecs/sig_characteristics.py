"""All characteristics of the Bluetooth SIG that are known here, by UUID; and who a device says it is."""

from drivers.codecs import (
    sig_battery,
    sig_blood_pressure,
    sig_ess,
    sig_heart_rate,
    sig_plx,
    sig_thermometer,
    sig_weight_scale,
)
from drivers.codecs.radio_peer import long_uuid
from drivers.codecs.sig_octets import Characteristic

CHARACTERISTICS: dict[str, Characteristic] = {
    uuid: characteristic
    for service in (
        sig_battery,
        sig_blood_pressure,
        sig_ess,
        sig_heart_rate,
        sig_plx,
        sig_thermometer,
        sig_weight_scale,
    )
    for uuid, characteristic in service.CHARACTERISTICS.items()
}

IDENTITY = {  # Device Information Service 1.1, 3.1 to 3.5: UUID -> what it names
    long_uuid("2a29"): "manufacturer",
    long_uuid("2a24"): "model",
    long_uuid("2a25"): "serial",
    long_uuid("2a26"): "firmware",
}


class Identity:
    """Who a device says it is, as its characteristics tell it one by one."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}  # by what it names

    def learn(self, uuid: str, data: bytes) -> bool:
        """Whether that characteristic is about who it is. A text that is not printable is left out."""
        if uuid not in IDENTITY:
            return False
        text = data.partition(b"\0")[0].decode("utf-8", "replace").strip()
        if text.isprintable() and text and "\ufffd" not in text:
            self._said[IDENTITY[uuid]] = text
        else:
            self._said.pop(IDENTITY[uuid], None)
        return True

    def told(self) -> dict[str, str | None]:
        """`model`, with who made it before it, `serial` and `firmware`; empty until it has said anything."""
        said = self._said
        if not said:
            return {}
        maker, model = said.get("manufacturer", ""), said.get("model", "")
        whole = model if model.startswith(maker) else f"{maker} {model}".strip()
        return {"model": whole or None, "serial": said.get("serial"), "firmware": said.get("firmware")}
