"""NMEA 0183: sentences of receiver manuals, a second way to reckon, and which sentences belong to one instant."""

from decimal import Decimal
from functools import reduce
from operator import xor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs.nmea_0183 import decode_input, readings, sentence
from drivers.codecs.nmea_epoch import Epoch
from drivers.codecs.nmea_fields import date, moment
from gateway import DecodeError, Reading

UBLOX_RMC = "GPRMC,083559.00,A,4717.11437,N,00833.91522,E,0.004,77.52,091202,,,A,V"  # ZED-F9P interface description


def line(body: str) -> bytes:
    return b"$%s*%02X\r\n" % (body.encode(), reduce(xor, body.encode(), 0))


def told(body: str) -> dict[str, Any]:
    return {r.name: (r.value if r.unit is None else (r.value, r.unit)) for r in decode_input(line(body), {})}


# pynmea2, test/test_types.py: the sentences and what is in them
SENTENCES: list[tuple[str, dict[str, Any]]] = [
    (
        "IIMWV,271.0,R,000.2,N,A",
        {"wind_angle": (271.0, "deg"), "wind_speed": (0.2 * 1852 / 3600, "m/s"), "wind_reference": "relative"},
    ),
    (
        "GPGST,172814.0,0.006,0.023,0.020,273.6,0.023,0.020,0.031",
        {
            "rms": (0.006, "m"),
            "std_dev_major": (0.023, "m"),
            "std_dev_minor": (0.02, "m"),
            "orientation": (273.6, "deg"),
            "std_dev_latitude": (0.023, "m"),
            "std_dev_longitude": (0.02, "m"),
            "std_dev_altitude": (0.031, "m"),
        },
    ),
    ("GPZDA,010203.05,06,07,2008,-08,30", {"timestamp": "2008-07-06T01:02:03.050Z"}),
    (
        "YXXDR,A,-64.437,M,N,A,054.454,D,E,C,17.09,C,T-N1052",
        {"N": -64.437, "E": (54.454, "deg"), "T-N1052": (17.09, "Cel")},
    ),
    ("GPGSA,A,3,02,,,07,,09,24,26,,,,,1.6,1.6,1.0", {"fix_type": 3, "pdop": 1.6, "hdop": 1.6, "vdop": 1.0}),
    (
        "GPGLL,4916.45,N,12311.12,W,225444,A,",
        {"latitude": (49.274166667, "lat"), "longitude": (-123.185333333, "lon"), "time_of_day": "22:54:44"},
    ),
    ("GPVTG,,T,,M,0.00,N", {"speed": (0.0, "m/s")}),
    # other instruments
    ("IIMWV,045,T,36.0,K,A", {"wind_angle": (45, "deg"), "wind_speed": (10.0, "m/s"), "wind_reference": "true"}),
    ("WIMWD,120.5,T,118.2,M,9.8,N,5.0,M", {"wind_direction": (120.5, "deg"), "wind_speed": (5.0, "m/s")}),
    ("SDDBT,31.5,f,9.6,M,5.2,F", {"depth": (9.6, "m")}),
    ("SDDPT,9.6,0.5", {"depth": (9.6, "m")}),
    ("HEHDT,274.5,T", {"heading": (274.5, "deg")}),
    ("IIMTW,17.5,C", {"water_temperature": (17.5, "Cel")}),
    (
        "GNGNS,103600.01,5114.51176,N,00012.29380,W,ANNN,07,1.18,111.5,45.6,,,V",  # u-blox 8: 13 fields, status V
        {"satellites": (7, "count")},
    ),
]


@pytest.mark.parametrize(("body", "expected"), SENTENCES, ids=lambda value: str(value)[:24])
def test_sentence(body: str, expected: dict[str, Any]) -> None:
    found = told(body)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == (
            pytest.approx(value) if not isinstance(value, tuple) else (pytest.approx(value[0]), value[1])
        )


NO_FIX = [
    "GPRMC,123519.00,V,4807.038,N,01131.000,E,,,230394,,",
    "GPRMC,123519.00,,4807.038,N,01131.000,E,,,230394,,",
    "GPRMC,123519.00,A,4807.038,N,01131.000,E,,,230394,,,N",  # mode: data not valid
    "GPRMC,123519.00,A,4807.038,N,01131.000,E,,,230394,,,",  # NMEA 2.3: a mode is due
    "GPRMC,123519.00,A,4807.038,N,01131.000,E,,,230394,,,A,V",  # navigational status of NMEA 4.1
    "GNGGA,123519.00,4807.038,N,01131.000,E,0,00,99.99,,M,,M,,",
    "GNGGA,123519.00,4807.038,N,01131.000,E,,00,,,M,,M,,",
    "GPGLL,4916.45,N,12311.12,W,225444,V",
    "GPGLL,4916.45,N,12311.12,W,225444,A,N",
    "GNGNS,103600.01,5114.51176,N,00012.29380,W,NNNN,00,,,,,",
    "GPRMC,123519.00,A,,,,,,,230394,,,A",
    "GPRMC,123519.00,A,4807.038,,01131.000,,,,230394,,,A",
]


@pytest.mark.parametrize("body", NO_FIX)
def test_no_fix_no_position(body: str) -> None:
    assert not {"latitude", "longitude", "altitude", "speed", "course"} & told(body).keys()


def test_ublox_always_says_navigational_status_v() -> None:
    assert told(UBLOX_RMC) == {"timestamp": "2002-12-09T08:35:59Z"}
    assert told(UBLOX_RMC[:-2]).keys() == {"latitude", "longitude", "speed", "course", "timestamp"}


@pytest.mark.parametrize("quality", ["6", "7", "8"])
def test_what_is_reckoned_or_simulated_is_suspect(quality: str) -> None:
    (lat, lon, *_) = decode_input(line(f"GPGGA,184353,1929.045,S,02410.506,E,{quality},04,2.6,100.0,M,-33.9,M,,"), {})
    assert (lat.quality, lon.quality) == ("suspect", "suspect")


REFUSED = [
    b"$GPRMC,225446,A,4916.45,N,12311.12,W,000.5,054.7,191194,020.3,E*69\r\n",  # checksum
    b"$GPRMC,225446,A,4916.45,N,12311.12,W,000.5,054.7,191194,020.3,E\r\n",  # none
    b"$GPRMC,225446,A,4916.45,N*6\r\n",
    line("GPGGA,184353.07,9929.045,S,02410.506,E,1,04,2.6,100.00,M,-33.9,M,,0000"),  # there is no 99 degrees south
    line("GPGGA,184353.07,1960.045,S,02410.506,E,1,04,2.6,100.00,M,-33.9,M,,0000"),  # nor 60 minutes
    line("GPGGA,184353.07,1929.045,X,02410.506,E,1,04,2.6,100.00,M,-33.9,M,,0000"),
    line("GPVTG,1_0,T,,M,0.04,N,0.07,K,A"),
    line("GPVTG,nan,T,,M,0.04,N,0.07,K,A"),
    line("GNTXT,01,01,02,ROM BASE 2.01 (75331) Oct 29 2013 13:28:17"),  # whole, and tells no value
    b"",
]


@pytest.mark.parametrize("data", REFUSED, ids=lambda data: data[:30])
def test_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_input(data, {})


def test_the_rest_of_a_cut_sentence_and_a_tag_block_do_no_harm() -> None:
    whole = line("HEHDT,274.5,T")
    for before in (b"$GPRMC,0835", b"\\g:1-2-73874*00\\", b"\xff\x00"):
        assert decode_input(before + whole, {}) == [Reading("heading", 274.5, "deg")]


@given(st.integers(0, 89), st.integers(0, 5_999_999), st.sampled_from("NS"))
def test_degrees_are_rounded_once(degrees: int, minutes: int, half: str) -> None:
    body = f"GPGLL,{degrees:02d}{minutes // 100000:02d}.{minutes % 100000:05d},{half},00000.0,E,120000,A,A"
    exact = (degrees + Decimal(minutes) / 100000 / 60) * (-1 if half == "S" else 1)
    kind, fields = sentence(line(body))
    assert readings(kind, fields)[0].value == float(exact)


@given(st.decimals(0, 999, places=3), st.sampled_from("NKMS"))
def test_speeds_are_rounded_once(value: Decimal, unit: str) -> None:
    metres = {"N": Decimal(1852) / 3600, "K": Decimal(1000) / 3600, "M": Decimal(1), "S": Decimal("1609.344") / 3600}
    kind, fields = sentence(line(f"IIMWV,0,R,{value},{unit},A"))
    assert readings(kind, fields)[1].value == pytest.approx(float(value * metres[unit]), rel=3e-16)


def test_times_and_dates() -> None:
    assert moment("184353.07") == "18:43:53.070"
    assert moment("184353") == moment("184353.00") == "18:43:53"
    assert moment("235960") == "23:59:60"  # a leap second
    assert moment("246000") == moment("1843") == moment("") == moment("18435a") == ""
    assert (date("191194"), date("091279"), date("010180")) == ("1994-11-19", "2079-12-09", "1980-01-01")
    assert date("321194") == date("191394") == date("") == date("19119") == ""


def feed(epoch: Epoch, *bodies: str) -> list[list[str]]:
    found = []
    for body in bodies:
        kind, fields = sentence(line(body))
        found.append([r.name for r in epoch.add(kind, fields, readings(kind, fields))])
    return found


def test_sentences_of_one_instant_are_told_at_its_last() -> None:
    def instant(second: int) -> list[str]:
        return [
            f"GNRMC,1035{second:02d}.00,A,4717.11437,N,00833.91522,E,0.004,77.52,091202,,,A",
            "GNVTG,77.52,T,,M,0.004,N,0.008,K,A",
            f"GNGGA,1035{second:02d}.00,4717.11437,N,00833.91522,E,1,08,1.01,499.6,M,48.0,M,,",
            "GNGSA,A,3,23,29,07,08,09,18,26,28,,,,,1.94,1.18,1.54,1",
            "GNGSA,A,3,65,66,,,,,,,,,,,1.94,1.18,1.54,2",
            "GPGSV,1,1,01,23,38,230,44",
        ]

    epoch = Epoch()
    assert feed(epoch, *instant(0)) == [[]] * 6
    first = feed(epoch, *instant(1))
    assert {"latitude", "speed", "altitude", "vdop", "timestamp"} <= set(first[0])  # of second 0
    assert first[1:5] == [[]] * 4
    assert set(first[5]) == set(first[0])  # of second 1, at once
    assert [bool(found) for found in feed(epoch, *instant(2))] == [False] * 5 + [True]
    lost = feed(epoch, *instant(3)[:-1], *instant(4), *instant(5))  # one sentence was spoilt on its way
    assert [i for i, found in enumerate(lost) if found] == [
        5,
        9,
        16,
    ]  # 3 when 4 begins, 4 and 5 at what is now the last


@pytest.mark.parametrize(
    ("next_time", "told"), [("235959", True), ("000002", True), ("000009.9", False), ("235957", False)]
)
def test_half_an_instant_is_not_told_long_after(next_time: str, told: bool) -> None:
    """The line was unplugged in between; midnight is no gap."""
    found = feed(
        Epoch(),
        "GPGGA,235958.00,4717.11437,N,00833.91522,E,1,08,1.01,499.6,M,48.0,M,,",
        f"GPRMC,{next_time},V,,,,,,,091202,,,N",
    )
    assert [bool(names) for names in found] == [False, told]


def test_instruments_without_a_clock() -> None:
    """Wind alone: each sentence is a sample, as soon as it is known that there are no others."""
    found = feed(Epoch(), *["IIMWV,271.0,R,000.2,N,A"] * 4)
    assert [bool(names) for names in found] == [False, True, True, True]


FIELD = st.sampled_from(
    ["", "A", "V", "N", "E", "M", "K", "T", "1", "0", "2.5", "4916.45", "12311.12", "103500", "1035", "091202"]
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([s[0].split(",")[0] for s in SENTENCES] + ["GPRMC", "GPGGA", "PUBX", "GP"]),
            st.lists(FIELD | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8), max_size=20),
        )
    )
)
def test_whole_sentences_of_any_fields(sentences: list[tuple[str, list[str]]]) -> None:
    """A good checksum says nothing about the fields: values, or a DecodeError."""
    epoch = Epoch()
    for address, fields in sentences:
        try:
            kind, split = sentence(line(",".join([address, *fields])))
            told = epoch.add(kind, split, readings(kind, split))
        except DecodeError:
            continue
        assert all(r.name and isinstance(r.value, int | float | str) for r in told)
