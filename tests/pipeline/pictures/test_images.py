"""Pictures that somebody else made: what is no picture of a digit costs one clear error, and little else."""

import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.command.errors import UnavailableError
from pipeline.pictures.images import read_digit
from tests.conftest import RunPython


def read(file: Path) -> np.ndarray:
    return read_digit(file, (28, 28), 0.0, 255.0)


def seven(mode: str = "L", size: int = 60) -> Image.Image:
    image = Image.new("L", (size, size), 250)
    pixels = np.array(image)
    pixels[10:16, 15:45] = 20
    pixels[16:50, 36:42] = 20
    return Image.fromarray(pixels).convert(mode)


def png(width: int, height: int, rows: bytes) -> bytes:
    """A PNG that says it is `width` x `height` grey pixels, and has `rows`."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        sum_ = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", sum_)

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def palette(file: Path) -> None:
    image = seven().quantize(8)
    image.save(file, transparency=image.getpixel((0, 0)))


def animated(file: Path) -> None:
    blank = Image.new("L", (60, 60), 250)
    seven().save(file, save_all=True, append_images=[blank, blank], duration=50)


def sixteen_bits(file: Path) -> None:
    Image.fromarray(np.asarray(seven()).astype(np.uint16) * 257).save(file)


def eight_bits_in_sixteen(file: Path) -> None:
    Image.fromarray(np.asarray(seven()).astype(np.uint16)).save(file)


def zeros_and_ones(file: Path) -> None:
    Image.fromarray((np.asarray(seven()) < 128).astype(np.uint8)).save(file)


def zeros_and_ones_in_sixteen(file: Path) -> None:
    Image.fromarray((np.asarray(seven()) > 128).astype(np.uint16)).save(file)


def damaged_exif(file: Path) -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\xff\xff\xff\xff\xff\xff"
    seven().save(file, exif=exif)


KINDS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "CMYK": ("digit.jpg", lambda file: seven("CMYK").save(file, quality=95)),
    "1 bit": ("digit.png", lambda file: seven("1").save(file)),
    "grey with alpha": ("digit.png", lambda file: seven("LA").save(file)),
    "palette with transparency": ("digit.png", palette),
    "animated": ("digit.png", animated),
    "16 bits": ("digit.png", sixteen_bits),
    "8 bits in 16": ("digit.png", eight_bits_in_sixteen),
    "zeros and ones": ("digit.png", zeros_and_ones),
    "zeros and ones in 16 bits": ("digit.png", zeros_and_ones_in_sixteen),
    "damaged EXIF": ("digit.jpg", damaged_exif),
    "larger than is looked at": ("digit.png", lambda f: seven().resize((2400, 2400)).save(f)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_digit_is_the_same_in_whatever_kind_of_file(tmp_path: Path, kind: str) -> None:
    seven().save(tmp_path / "plain.png")
    name, save = KINDS[kind]
    save(tmp_path / name)
    assert np.abs(read(tmp_path / name) - read(tmp_path / "plain.png")).mean() < 5


def folder(file: Path) -> None:
    file.mkdir()


def too_long(file: Path) -> None:
    with file.open("wb") as opened:
        opened.truncate(60_000_000_000)  # sparse: it takes no disk


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a folder": (folder, "this is no file but a folder, a device or a pipe"),
    "a pipe": (os.mkfifo, "this is no file but a folder, a device or a pipe"),
    "a device": (lambda f: f.symlink_to("/dev/zero"), "this is no file but a folder, a device"),
    "a dead link": (lambda file: file.symlink_to("nowhere"), "there is no such file"),
    "a link in a circle": (lambda file: file.symlink_to(file), "can't be read"),
    "nothing": (lambda file: file.write_bytes(b""), "no PNG or JPEG"),
    "60 GB": (too_long, "expected at most 50 MB, got 60000 MB"),
    "a billion pixels": (
        lambda file: file.write_bytes(png(40_000, 25_000, b"")),
        "expected at most 25 million pixels, got far more",
    ),
    "a hundred million pixels": (
        lambda file: file.write_bytes(png(10_000, 10_000, b"")),
        "expected at most 25 million pixels, got 10000 x 10000",
    ),
    "a line of 24 million pixels": (
        lambda file: file.write_bytes(png(1, 24_000_000, b"")),
        "expected at most 50,000 pixels a side, got 1 x 24000000",
    ),
    "2**31 pixels a side": (
        lambda file: file.write_bytes(png(2**31 - 1, 2**31 - 1, b"")),
        "25 million pixels|can't be read",
    ),
    "no pixels": (lambda file: file.write_bytes(png(0, 0, b"")), "can't be read|no PNG"),
    "1 pixel": (lambda file: Image.new("L", (1, 1), 9).save(file), "nothing is drawn"),
    "a line of one pixel's width": (
        lambda file: Image.new("L", (1, 5000), 9).save(file),
        "nothing is drawn",
    ),
    "blank": (lambda file: Image.new("L", (99, 99), 9).save(file), "nothing is drawn"),
    "clear": (lambda file: Image.new("RGBA", (99, 99)).save(file), "nothing is drawn"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_holds_no_drawing_is_refused_with_place_and_reason(tmp_path: Path, what: str) -> None:
    make, reason = REFUSED[what]
    make(tmp_path / "digit.png")
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=f"digit.png: .*({reason})"):
        read(tmp_path / "digit.png")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (2, 2), (3, 200), (200, 3), (8, 8)])
def test_a_picture_of_any_shape_is_read_or_refused(tmp_path: Path, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    Image.fromarray(noise).save(tmp_path / "digit.png")
    try:
        image = read(tmp_path / "digit.png")
    except UnavailableError:
        return
    assert image.shape == (28, 28)
    assert np.isfinite(image).all()


def test_a_picture_that_unpacks_to_gigabytes_is_refused_before_it_is_decoded(
    tmp_path: Path, run_python: RunPython
) -> None:
    """A few kilobytes of zeros become 144 million pixels, below Pillow's own limit."""
    rows = zlib.compressobj(9)
    packed = b"".join(rows.compress(bytes(12_001)) for _ in range(12_000)) + rows.flush()
    (tmp_path / "bomb.png").write_bytes(png(12_000, 12_000, packed))

    program = (
        "import sys, pathlib, resource\nfrom pipeline.pictures.images import read_digit\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "before = peak()\n"
        "try: read_digit(pathlib.Path(sys.argv[1]), (28, 28), 0.0, 255.0)\n"
        "except Exception as error: print(peak() - before, error)"
    )
    done = run_python("-c", program, str(tmp_path / "bomb.png"))
    more, reason = done.stdout.split(" ", 1)
    assert "25 million pixels, got 12000 x 12000" in reason
    assert int(more) < 50, "MB"


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """`content` with bytes changed, a piece cut out, doubled, or its end lost."""
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 8))):
        at = int(random.integers(len(changed)))
        length = int(random.integers(1, 24))
        kind = random.integers(4)
        if kind == 0:
            changed[at] = int(random.integers(256))
        elif kind == 1:
            changed[at : at + length] = random.bytes(length)
        elif kind == 2:
            del changed[at : at + length]
        else:
            changed[at:at] = changed[at : at + length]
        if not changed:
            return b""
    if random.random() < 0.2:
        del changed[int(random.integers(len(changed))) :]
    return bytes(changed)


@pytest.mark.slow
def test_two_thousand_damaged_pictures_are_read_or_refused_and_nothing_else(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x8769] = 6, "a seven", {0x9003: "2026:01:01 00:00:00"}
    seven().save(tmp_path / "exif.jpg", exif=exif)
    seven().save(tmp_path / "exif.png", exif=exif)
    seven("RGBA").save(tmp_path / "alpha.png")
    seven("CMYK").save(tmp_path / "cmyk.jpg")
    palette(tmp_path / "palette.png")
    animated(tmp_path / "animated.png")
    sixteen_bits(tmp_path / "sixteen.png")
    originals = [(file.suffix, file.read_bytes()) for file in sorted(tmp_path.iterdir())]
    refused = 0
    for number in range(2000):
        suffix, content = originals[number % len(originals)]
        if b"Exif" in content[:64] and number % 2:  # where parsers of metadata stumble
            content = content[:30] + mutated(content[30:160], random) + content[160:]
        else:
            content = mutated(content, random)
        file = tmp_path / f"mutated{suffix}"
        file.write_bytes(content)
        try:
            assert np.isfinite(read(file)).all()
        except UnavailableError:
            refused += 1
    assert 200 < refused < 2000
