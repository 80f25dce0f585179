"""What the gateway says of itself: the retained status, its problems, and the topics it owns."""

from typing import Any

from gateway import payload
from gateway.buffer import Buffer
from gateway.clock import Clock
from gateway.config import Problem, Site
from gateway.mqtt import Will
from gateway.uplink import Uplink
from gateway.writer import Writer


class Topics:
    """Topic names of one gateway (contract: Topics and payloads)."""

    def __init__(self, prefix: str, gateway: str) -> None:
        self.root = f"{prefix}/{gateway}"
        self.status = f"{self.root}/status"

    def of(self, device: str, kind: str) -> str:
        """`kind`: meta, status, state or data."""
        return f"{self.root}/{device}/{kind}"

    def retained(self, device: str) -> list[str]:
        """The retained topics of a device."""
        return [self.of(device, kind) for kind in ("meta", "status", "state")]


def offline(reason: str, run: str) -> bytes:
    """The retained status of a gateway that is not there: `stopped`, or `lost` as last will."""
    return payload.to_json({"state": "offline", "reason": reason, "run": run})


def will(topic: str, run: str) -> Will:
    """What the broker says when we are gone without a goodbye."""
    return Will(topic, offline("lost", run))


def problems(site: Site, buffer: Buffer, writer: Writer, uplink: Uplink | None) -> list[dict[str, str]]:
    """What is wrong, each with part, reason and text for people."""
    found = [_problem(p.part, "configuration", str(p)) for p in site.problems if p.severity == "error"]
    if buffer.trouble is not None:
        found.append(_problem("buffer", "read_only" if "readonly" in buffer.trouble else "disk", buffer.trouble))
    elif writer.commit_seconds > writer.commit_every / 2:
        text = f"a commit took {writer.commit_seconds:.1f} s; a kill may lose {writer.bound:.1f} s"
        found.append(_problem("buffer", "slow", text))
    if writer.full is not None:
        found.append(_problem("buffer", "full", writer.full))
    if writer.set_aside is not None:
        found.append(_problem("buffer", "damaged", writer.set_aside))
    if uplink is not None:
        found += [
            _problem("hub", "refused", f"the hub refuses {topic}; its samples are held") for topic in uplink.paused
        ]
        if uplink.unheard:
            found.append(_problem("hub", "nobody_listening", "the hub takes samples that nobody subscribes to"))
    return found


def online(
    version: str, since: int, site: Site, buffer: Buffer, writer: Writer, uplink: Uplink, clock: Clock
) -> dict[str, Any]:
    """The retained status of a running gateway."""
    samples, size = buffer.held()
    held: dict[str, Any] = {"samples": samples, "bytes": size}
    oldest = writer.oldest if buffer.on_disk else buffer.oldest()
    if samples and oldest is not None:
        held["oldest"] = payload.iso_time(oldest)
    found: dict[str, Any] = {
        "state": "online",
        "version": version,
        "run": buffer.run,
        "since": payload.iso_time(since),
        "clock": "synced" if clock.synced else "unsynced",
        "mqtt": uplink.protocol,
        "durable": buffer.trouble is None,
        "held": held,
        "problems": problems(site, buffer, writer, uplink),
    }
    if writer.previous is not None:
        found["previous"] = writer.previous
    if site.gateway.labels:
        found["labels"] = site.gateway.labels
    return found


def disabled_status(problem: Problem, since: int) -> bytes:
    """The retained status of a device whose configuration is wrong."""
    return payload.to_json(
        {"state": "disabled", "reason": "configuration", "text": str(problem), "since": payload.iso_time(since)}
    )


def _problem(part: str, reason: str, text: str) -> dict[str, str]:
    return {"part": part, "reason": reason, "text": text}
