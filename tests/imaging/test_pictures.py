"""Decoding by content: modes, depths, damage; PNGs of nothing but pixels and a comment."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from mgajax.errors import DataError
from mgajax.imaging.pictures import as_png, decode_mask, decode_picture, encode_png

GREY = np.random.default_rng(0).integers(0, 256, (12, 9), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_grey_survives_every_mode(mode: str) -> None:
    picture = decode_picture(encoded(Image.fromarray(GREY).convert(mode)), name="x.png")
    np.testing.assert_array_equal(picture.pixels, GREY)
    assert picture.pixels.dtype == np.uint8
    assert picture.is_plain_png == (mode == "L")
    assert not picture.is_coloured


def test_colour_becomes_luma() -> None:
    colour = np.zeros((1, 3, 3), np.uint8)
    colour[0, [0, 1, 2], [0, 1, 2]] = 255
    picture = decode_picture(encoded(Image.fromarray(colour)), name="x.png")
    np.testing.assert_allclose(picture.pixels, [[0.299 * 255, 0.587 * 255, 0.114 * 255]], atol=0.51)
    assert picture.is_coloured


def test_transparency_is_laid_on_black() -> None:
    rgba = np.full((2, 2, 4), 200, np.uint8)
    rgba[0, :, 3] = 0
    rgba[1, :, 3] = 255
    picture = decode_picture(encoded(Image.fromarray(rgba)), name="x.png")
    np.testing.assert_array_equal(picture.pixels, [[0, 0], [200, 200]])


def test_sixteen_bits_are_stretched() -> None:
    deep = np.array([[1000, 1510], [2020, 3550]], np.uint16)
    picture = decode_picture(encoded(Image.fromarray(deep)), name="x.png")
    np.testing.assert_array_equal(picture.pixels, [[0, 51], [102, 255]])
    assert picture.is_more_than_8_bit


def test_a_jpeg_is_opened_whatever_its_name() -> None:
    picture = decode_picture(encoded(Image.fromarray(GREY), "JPEG"), name="x.png")
    assert (picture.kind, picture.is_plain_png) == ("JPEG", False)


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(GREY // 128 * 255).convert("1"),
        Image.fromarray(GREY // 16).convert("L"),
    ],
)
def test_only_bytes_of_plain_8_bit_grey_are_kept(image: Image.Image) -> None:
    content = encoded(image, transparency=3) if image.mode == "L" else encoded(image)
    assert not decode_picture(content, name="x.png").is_plain_png


def test_metadata_is_not_kept() -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Patient", "somebody")
    assert not decode_picture(encoded(Image.fromarray(GREY), pnginfo=info), name="x").is_plain_png


def damaged() -> dict[str, bytes]:
    whole = encoded(Image.fromarray(GREY))
    flipped = bytearray(whole)
    flipped[whole.index(b"IDAT") + 20] ^= 0x10
    return {
        "empty": b"",
        "text": b"<html>404</html>",
        "half": whole[: len(whole) // 2],
        "no end": whole[:-16],
        "header only": whole[:33],
        "flipped bit": bytes(flipped),
        "half jpeg": encoded(Image.fromarray(np.tile(GREY, (9, 9))), "JPEG")[:600],
    }


@pytest.mark.parametrize("kind", sorted(damaged()))
def test_damage_is_found(kind: str) -> None:
    with pytest.raises(DataError, match=r"scan\.png: \d+ bytes that are no complete picture"):
        decode_picture(damaged()[kind], name="scan.png")
    with pytest.raises(DataError, match="no complete picture"):
        decode_mask(damaged()[kind], name="scan.png")


def test_equal_pictures_have_equal_digests_in_any_file() -> None:
    plain = decode_picture(encoded(Image.fromarray(GREY)), name="a")
    rgb = decode_picture(encoded(Image.fromarray(GREY).convert("RGB"), compress_level=1), name="b")
    turned = decode_picture(encoded(Image.fromarray(GREY.reshape(9, 12))), name="c")
    assert plain.digest() == rgb.digest() != turned.digest()


def test_palette_masks_are_read_as_indices() -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image = image.convert("P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0] + [0] * 759)
    np.testing.assert_array_equal(decode_mask(encoded(image), name="m"), [[0, 1, 2]])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_the_exif_orientation_is_applied_and_masks_are_turned_back(
    orientation: int, kind: str
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = encoded(Image.fromarray(GREY), kind, exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    picture = decode_picture(content, name="x")
    np.testing.assert_array_equal(picture.pixels, upright)
    np.testing.assert_array_equal(picture.view.store(picture.pixels), GREY)
    np.testing.assert_array_equal(decode_mask(content, name="x"), upright)
    np.testing.assert_array_equal(decode_picture(as_png(content), name="x").pixels, upright)
    assert not picture.is_plain_png


@pytest.mark.parametrize("value", [0, 9])
def test_an_orientation_that_is_none_turns_nothing(value: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    picture = decode_picture(encoded(Image.fromarray(GREY), exif=exif), name="x")
    np.testing.assert_array_equal(picture.pixels, GREY)


@pytest.mark.parametrize("search", ["repeats", "runs"])
def test_a_png_holds_the_pixels_and_nothing_else(search) -> None:
    picture = decode_picture(encode_png(GREY, search=search), name="")
    np.testing.assert_array_equal(picture.pixels, GREY)
    assert picture.is_plain_png


def test_a_png_keeps_its_comment() -> None:
    png = encode_png(np.stack([GREY] * 3, axis=-1), comment="for research")
    with Image.open(io.BytesIO(png)) as image:
        assert image.info["Comment"] == "for research"
        np.testing.assert_array_equal(np.asarray(image)[..., 1], GREY)
