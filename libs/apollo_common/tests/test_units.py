import pytest

from apollo_common.units import format_size, parse_size_bytes


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0B", 0),
        ("64MiB", 67_108_864),
        ("64mib", 67_108_864),
        ("64M", 67_108_864),
        ("64MB", 64_000_000),
        ("1 GiB", 1_073_741_824),
        ("512K", 524_288),
        ("2TiB", 2_199_023_255_552),
        (" 7B ", 7),
    ],
)
def test_a_size_is_read_as_coreutils_reads_it(text, size_bytes):
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "64", "MiB", "1.5MiB", "-1MiB", "64XiB", "64MiBs", "٣MiB", "1e3K", "9" * 16 + "K"]
)
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="64MiB"):
        parse_size_bytes(text)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_572_864, "1.5 MiB"), (3 << 40, "3.0 TiB")],
)
def test_a_size_is_shown_in_binary_units(size_bytes, text):
    assert format_size(size_bytes) == text
