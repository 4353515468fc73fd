"""Small photos, each one different, made without anything but the standard library."""

import random
import struct
from pathlib import Path

# The usual tables of JPEG for the constant part of a block (T.81, table K.3), and an empty one for the rest: a block that
# is one colour all over needs no more.
_DC_COUNTS = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
_DC_VALUES = list(range(12))
_END_OF_BLOCK = "0"


def _codes(counts, values):
    codes, code, at = {}, 0, 0
    for length, count in enumerate(counts, start=1):
        for _ in range(count):
            codes[values[at]] = format(code, f"0{length}b")
            code, at = code + 1, at + 1
        code <<= 1
    return codes


_DC_CODES = _codes(_DC_COUNTS, _DC_VALUES)


def _segment(marker, body):
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _head(side):
    quantisation = bytes([0]) + bytes([8] * 64)
    frame = struct.pack(">BHHB", 8, side, side, 3) + bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    dc = bytes([0x00]) + bytes(_DC_COUNTS) + bytes(_DC_VALUES)
    ac = bytes([0x10]) + bytes([1] + [0] * 15) + bytes([0])
    scan = bytes([3, 1, 0x00, 2, 0x00, 3, 0x00, 0, 63, 0])
    jfif = b"JFIF\0" + bytes([1, 1, 0, 0, 1, 0, 1, 0, 0])
    return (
        b"\xff\xd8"
        + _segment(0xE0, jfif)
        + _segment(0xDB, quantisation)
        + _segment(0xC0, frame)
        + _segment(0xC4, dc)
        + _segment(0xC4, ac)
        + _segment(0xDA, scan)
    )


def jpeg(seed, side=64):
    """A mosaic of side/8 x side/8 colours, which the seed decides."""
    rng = random.Random(seed)
    bits, before = [], [0, 0, 0]
    for _ in range((side // 8) ** 2):
        for component in range(3):
            value = rng.randrange(-120, 121)
            step, before[component] = value - before[component], value
            size = abs(step).bit_length()
            bits.append(_DC_CODES[size])
            if size:
                bits.append(format(step if step > 0 else step + (1 << size) - 1, f"0{size}b"))
            bits.append(_END_OF_BLOCK)
    bits = "".join(bits)
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    return _head(side) + data + b"\xff\xd9"


def make(folder, count, nested=False, side=64):
    """Makes count photos in the folder, or a hundred at a time in folders of three levels; returns their paths."""
    folder, paths = Path(folder), []
    for number in range(count):
        below = folder
        if nested:
            below = folder / f"{number // 10000:02}" / f"{number // 1000 % 10}" / f"{number // 100 % 10}"
        below.mkdir(parents=True, exist_ok=True)
        path = below / f"photo-{number:06}.jpg"
        path.write_bytes(jpeg(number, side))
        paths.append(path)
    return paths
