"""Lines of a board that are no data: logs, boot messages, prompts, and what is not even text."""

import re

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b.")
_ODD = re.compile(r"[\ufffd\x00-\x08\x0a-\x1f\x7f-\x9f]")

# What such a line begins with. Compared with lines of Zephyr, ESP-IDF and the boot loaders of the ESP8266 and
# ESP32 families, Arduino cores, ESPHome, Tasmota, MicroPython and CircuitPython.
_LOG = re.compile(
    r"""\*\*\* | >>> | <<< | --- | === | \#\# | //
    | \[[^\]]*\]\s* (?:\S|$)                              # [00:00:00.351,000] <inf> app: …, [12:34:56][D][sensor:094]
    | [A-Z]\s\([0-9:. ]+\)\s                              # I (123) wifi: …
    | <(?:inf|dbg|wrn|err|info|debug|warning|error)>      # Zephyr and Nordic without a time
    | (?:[0-9]{4}-[0-9]{2}-[0-9]{2}[T\s])?[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?\s+[^\W\d]   # 00:00:00.001 HDW: …
    | (?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL|Debug|Info|Notice|Warning)\b\s*[:\[\](|>-]
    | ets\s[A-Z][a-z]{2} | rst:0x | rst\scause | boot\smode | load:?\s?0x | entry\s0x | configsip: | SPIWP: | clk_drv:
    | mode:[DQ]?[IOUT]{2,3}[,\s] | ho\s[0-9]+\stail | tail\s[0-9] | c(?:hk)?sum\s | ESP-ROM: | Build:[A-Z] | Saved\sPC
    | ELF\sfile | Backtrace | Guru\sMeditation | Core\s+[0-9]\sreg | Rebooting | epc[0-9] | Exception | Soft\sWDT
    | wdt\s | abort\(\) | assert | Fatal | last\sfailed | flash\sread\serr | invalid\sheader | waiting\sfor\shost
    | MPY: | MicroPython | CircuitPython | Adafruit\sCircuitPython | Traceback | File\s" | soft\sreboot | \w+:~\$
    """,
    re.VERBOSE,
)
_TROUBLE = re.compile(
    r"\b(?:\w*error|\w*exception|warning|fail|failed|failure|errno|abort\w*|retry\w*|attempt|panic)\b", re.IGNORECASE
)
_ABOUT = re.compile(
    r"\b(?:version|ver|build|firmware|fw|sdk|baud\w*|ip|mac|ssid|connecting|connected to|starting|booting|init\w*|"
    r"setup|calibrating|waiting)\b",
    re.IGNORECASE,
)


def plain(frame: bytes) -> str:
    """The text of a line, without colours and without spaces, NULs and the like at its ends.

    What is no UTF-8 becomes U+FFFD.
    """
    text = frame.decode("utf-8", "replace")
    if "\x1b" in text:
        text = _COLOUR.sub("", text)
    return text.strip(" \t\r\n\v\f\0\ufeff")


def unreadable(text: str) -> int:
    """How many characters are no text, where these are so many that the line cannot be meant as text; else 0."""
    if _ODD.search(text) is None:
        return 0
    odd = len(_ODD.findall(text))
    return odd if odd * 10 > max(len(text), 20) else 0


def is_log(text: str) -> bool:
    """Whether a line is known to be a log line, a boot message or a prompt."""
    return _LOG.match(text) is not None


def is_remark(label: str, whole: bool) -> bool:
    """Whether a line's one `label: number` without a unit is a remark (`error: -5`, `Version: 2`).

    `whole`: the number is. An error of a control loop has decimals.
    """
    return _ABOUT.search(label) is not None or (whole and _TROUBLE.search(label) is not None)
