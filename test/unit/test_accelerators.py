import pytest

from npuc.hardware.accelerators import ACCELERATORS, accelerator


def test_the_six_are_found_by_name() -> None:
    assert list(ACCELERATORS) == [
        "ethos-u55-32",
        "ethos-u55-64",
        "ethos-u55-128",
        "ethos-u55-256",
        "ethos-u65-256",
        "ethos-u65-512",
    ]
    for name in ACCELERATORS:
        assert accelerator(name).name == name


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"^unknown accelerator 'ethos-u85-256': .*ethos-u55-32, .*ethos-u65-512$"):
        accelerator("ethos-u85-256")


@pytest.mark.parametrize("name", ACCELERATORS)
def test_config_word_agrees_with_the_figures(name: str) -> None:
    """[3:0] log2 of all MACs, [15:8] KiB of SHRAM of all cores, [31:28] product."""
    acc = accelerator(name)
    assert 1 << (acc.config_word & 0xF) == acc.total_macs
    assert acc.config_word >> 28 == {"U55": 0, "U65": 1}[acc.product]
    shram = acc.config_word >> 8 & 0xFF
    assert shram == acc.shram_banks * acc.cores


@pytest.mark.parametrize(
    ("name", "base"), [("ethos-u55-32", 14336), ("ethos-u55-128", 22528), ("ethos-u65-512", 47104)]
)
def test_tables_lie_in_the_last_two_banks(name: str, base: int) -> None:
    assert accelerator(name).lut_base == base
