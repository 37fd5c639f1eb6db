import re
from pathlib import Path

import pytest

from npuc.hardware.accelerators import ACCELERATORS, accelerator
from npuc.hardware.memory import Memory, memory_setup

U55 = accelerator("ethos-u55-128")
U65 = accelerator("ethos-u65-512")

OWN = """
; a comment
[System_Config.Mine]
core_clock=100e6
axi0_port=Sram
axi1_port=Dram
Sram_clock_scale=0.5
Sram_burst_length=16
Sram_read_latency=3
Sram_write_latency=4
Sram_max_reads=8
Dram_clock_scale=0.25
Dram_ports_used=2

[Memory_Mode.Base]
const_mem_area=Axi1
arena_mem_area=Axi1
cache_mem_area=Axi0
arena_cache_size=4096

[Memory_Mode.Small]
inherit=Memory_Mode.Base
arena_cache_size=1024
"""


def test_defaults_are_those_of_vela() -> None:
    for acc in ACCELERATORS.values():
        setup = memory_setup(acc)
        if acc.product == "U55":
            assert (setup.system_config, setup.memory_mode) == ("Ethos_U55_High_End_Embedded", "Shared_Sram")
            assert setup.arena_cache_size == 1 << 32
            assert not setup.sized
        else:
            assert (setup.system_config, setup.memory_mode) == ("Ethos_U65_Client_Server", "Dedicated_Sram_384KB")
            assert setup.arena_cache_size == 384 * 1024
            assert setup.sized


def test_shared_sram() -> None:
    setup = memory_setup(U55, system_config="Ethos_U55_Deep_Embedded")
    assert setup.core_clock == 200e6
    assert setup.constants == Memory("OffChipFlash", "Axi1", 0.5, 128, 64, 0)
    assert setup.arena == setup.cache == Memory("Sram", "Axi0", 8.0, 32, 32, 32)
    assert not setup.spilling


def test_dedicated_sram_spills() -> None:
    setup = memory_setup(U65, system_config="Ethos_U65_High_End", memory_mode="Dedicated_Sram_512KB")
    assert setup.spilling
    assert setup.arena == setup.constants == Memory("Dram", "Axi1", 3.75, 128, 500, 250, cores=2)
    assert setup.memory("cache") == Memory("Sram", "Axi0", 16.0, 32, 32, 32, cores=2)
    assert setup.arena_cache_size == 512 * 1024


def test_sram_only_counts_constants_as_flash_of_equal_speed() -> None:
    setup = memory_setup(U55, memory_mode="Sram_Only")
    assert setup.constants == Memory("OnChipFlash", "Axi0", 8.0, 32, 32, 32)
    assert setup.arena.port == "Axi0"


def test_own_file_with_inheritance(tmp_path: Path) -> None:
    path = tmp_path / "mine.ini"
    path.write_text(OWN)
    setup = memory_setup(U65, [str(path)], "Mine", "Small")
    assert setup.core_clock == 100e6
    assert setup.arena == Memory("Dram", "Axi1", 8.0, 1, 0, 0, cores=2)
    assert setup.cache == Memory("Sram", "Axi0", 8.0, 16, 3, 4, cores=2)
    assert setup.arena_cache_size == 1024
    assert memory_setup(U65, [str(path)], "Mine", "Base").arena_cache_size == 4096
    assert memory_setup(U65, [str(path)], "Mine", "Base", 77).arena_cache_size == 77
    assert memory_setup(U65, [str(path)], "Mine", "Small").sized
    assert not memory_setup(U65, memory_mode="Dedicated_Sram").sized
    assert memory_setup(U55, [str(path)], "Mine", "Shared_Sram").constants.name == "Dram", "built-in ones stay known"


def test_later_files_come_first(tmp_path: Path) -> None:
    first, second = tmp_path / "a.ini", tmp_path / "b.ini"
    first.write_text(OWN)
    second.write_text(OWN.replace("100e6", "300e6"))
    assert memory_setup(U65, [str(first), str(second)], "Mine").core_clock == 300e6


def test_the_name_of_velas_file_stands_for_the_built_in_configurations() -> None:
    assert memory_setup(U55, ["Arm/vela.ini"]) == memory_setup(U55)


def fails(match: str, *args: object) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        memory_setup(*args)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)


def test_unknown_names_list_the_known_ones() -> None:
    fails(
        r"^--system-config 'X': no section \[System_Config.X\] in the built-in configurations; "
        r"there are Ethos_U55_Deep_Embedded, .*Ethos_U65_Client_Server, .*RA8P1$",
        U55,
        (),
        "X",
    )
    fails(r"^--memory-mode 'X': no section \[Memory_Mode.X\] .* there are Sram_Only, Shared_Sram, ", U55, (), None, "X")


DTCM = """
[System_Config.Two_Memories]
core_clock=400e6
axi0_port=Sram
axi1_port=Dram
Dram_clock_scale=0.5

[Memory_Mode.Dtcm_Cache]
const_mem_area=Axi1
arena_mem_area=Axi1
cache_mem_area=Axi0
arena_cache_size=65536
"""
"""A tightly coupled memory as the cache of an arena in other SRAM, which counts as slow."""


def test_modes_that_the_machine_lacks() -> None:
    fails(
        r"^--memory-mode 'Dedicated_Sram': the arena would lie in OffChipFlash of "
        r"\[System_Config.Ethos_U65_Embedded\], which is not writable$",
        U65,
        (),
        "Ethos_U65_Embedded",
        "Dedicated_Sram",
    )
    # Flash is what a U55 has there, unless a configuration says otherwise.
    fails(r"^--memory-mode 'Dedicated_Sram': the arena would lie in OffChipFlash of ", U55, (), None, "Dedicated_Sram")


def test_a_cache_beside_a_slow_arena_on_u55(tmp_path: Path) -> None:
    path = tmp_path / "dtcm.ini"
    path.write_text(DTCM)
    setup = memory_setup(U55, (str(path),), "Two_Memories", "Dtcm_Cache")
    assert setup.spilling
    assert (setup.arena.name, setup.cache.name, setup.arena_cache_size) == ("Dram", "Sram", 65536)


def test_arena_cache_size_is_within_reach() -> None:
    fails(r"^limit \(--arena-cache-size\) -1: ethos-u55-128 addresses 0 to 4294967296 bytes$", U55, (), None, None, -1)
    fails(r"^limit \(--arena-cache-size\) 4294967297: ", U55, (), None, None, (1 << 32) + 1)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("core_clock=100e6", "core_clock=fast", "[System_Config.Mine] core_clock=fast is not a number of at least 1"),
        ("core_clock=100e6", "", "[System_Config.Mine] has no core_clock"),
        (
            "axi1_port=Dram",
            "axi1_port=Disk",
            "[System_Config.Mine] axi1_port=Disk is none of Sram, Dram, OnChipFlash, OffChipFlash",
        ),
        ("arena_mem_area=Axi1", "", "[Memory_Mode.Small] has no arena_mem_area"),
        ("arena_mem_area=Axi1", "arena_mem_area=2", "[Memory_Mode.Small] arena_mem_area=2 is none of Axi0, Axi1"),
        (
            "Sram_clock_scale=0.5",
            "Sram_clock_scale=0",
            "[System_Config.Mine] Sram_clock_scale=0 is a memory without bandwidth",
        ),
        (
            "Sram_clock_scale=0.5",
            "Sram_clock_scale=nan",
            "[System_Config.Mine] Sram_clock_scale=nan is not a number of at least 0",
        ),
        (
            "Sram_burst_length=16",
            "Sram_burst_length=0",
            "[System_Config.Mine] Sram_burst_length=0 is not a number of at least 1",
        ),
        (
            "Sram_burst_length=16",
            "Sram_burst_length=1.5",
            "[System_Config.Mine] Sram_burst_length=1.5 is not a whole number",
        ),
        ("Memory_Mode.Base\n", "Memory_Mode.None\n", "[Memory_Mode.Small] inherits [Memory_Mode.None], "),
        ("Memory_Mode.Base\n", "Memory_Mode.Small\n", "[Memory_Mode.Small] inherits [Memory_Mode.Small], "),
        ("arena_cache_size=1024", "arena_cache_size=-5", "[Memory_Mode.Small] arena_cache_size=-5 is not a number"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, old: str, new: str, line: str) -> None:
    path = tmp_path / "mine.ini"
    assert old in OWN
    path.write_text(OWN.replace(old, new))
    fails(f"^{re.escape(str(path))}: {re.escape(line)}", U65, [str(path)], "Mine", "Small")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "no.ini"
    fails(f"^{re.escape(str(path))}: no such configuration file$", U55, [str(path)])
    fails(f"^{re.escape(str(tmp_path))}: Is a directory$", U55, [str(tmp_path)])
    for bad in (b"core_clock=1\n", b"[a]\nx=1\n[a]\n", b"\xff\xfe\x00", b"[a\n"):
        path.write_bytes(bad)
        fails(f"^{re.escape(str(path))}: not a configuration file: ", U55, [str(path)])
