from npuc.hardware.accelerators import accelerator
from npuc.hardware.alignment import address_problem, dma_problem, feature_map_alignment

U55 = accelerator("ethos-u55-128")
U65 = accelerator("ethos-u65-512")


def test_bricks_are_aligned_and_elements_to_themselves() -> None:
    assert feature_map_alignment("nhcwb16", 8) == 16
    assert [feature_map_alignment("nhwc", bits) for bits in (8, 16, 32)] == [1, 2, 4]


def test_dma_between_memories() -> None:
    assert dma_problem(U55, 16, 32, 48) is None
    assert dma_problem(U55, 8, 32, 48) == "DMA source 8 is not a multiple of 16 (ethos-u55-128)"
    assert dma_problem(U55, 16, 32, 50) == "DMA length 50 is not a multiple of 16 (ethos-u55-128)"
    assert dma_problem(U65, 7, 33, 50) is None
    assert dma_problem(U65, 7, 33, 0) == "DMA of 0 bytes"


def test_dma_of_tables() -> None:
    assert dma_problem(U65, 7, 47104, 256, to_shram=True) is None
    assert dma_problem(U65, 7, 47105, 256, to_shram=True) == (
        "DMA destination 47105 is not a multiple of 16 (ethos-u65-512)"
    )
    assert dma_problem(U55, 0, 22528 + 1024, 2048, to_shram=True) == (
        "DMA to SHRAM bytes 23552 to 25600: tables lie from 22528 to 24576"
    )


def test_reach() -> None:
    assert address_problem(U55, (1 << 32) - 16, 16) is None
    assert address_problem(U55, (1 << 32) - 16, 17) is not None
    assert address_problem(U65, 1 << 32, 16) is None
    assert address_problem(U65, -1, 16) is not None
