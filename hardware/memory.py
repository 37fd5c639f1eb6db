"""
The memories around the machine, and which of them holds what.

A *system configuration* says what is attached to the two AXI ports and how fast it is; a *memory mode* says through
which port constants, feature maps (the arena) and the cache of a slow arena are reached. Both have names, and come from
a file in vela's `.ini` format or are built in with the names and figures of the one that vela is shipped with. Those of
real systems lie in `systems/`, with their sources, and are read where a name is none of the others:

    [System_Config.NAME]              [Memory_Mode.NAME]
    core_clock=500e6                  const_mem_area=Axi1
    axi0_port=Sram                    arena_mem_area=Axi0
    axi1_port=OffChipFlash            cache_mem_area=Axi0
    Sram_clock_scale=1.0              arena_cache_size=393216
    Sram_burst_length=32              inherit=Memory_Mode.OTHER
    Sram_read_latency=32
    Sram_write_latency=32

A memory moves `clock_scale * ports_used * AXI width` bytes a cycle of the core by its description. Burst lengths are
bytes, latencies cycles. Keys that this file does not name are ignored. What it moves in truth depends on
`npuc.hardware.parameters`, too: `Memory.read_rate`, `write_rate` and `weight_rate` are what costs are made of.
"""

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import ceil
from typing import Literal

from npuc.hardware.accelerators import Accelerator
from npuc.hardware.parameters import AXI_BURST, DEFAULT, CostParameters

Area = Literal["constants", "arena", "cache", "external"]
MEMORY_NAMES = ("Sram", "Dram", "OnChipFlash", "OffChipFlash")
BUILT_IN = "Arm/vela.ini"
"""The file name under which vela ships its configurations; stands for the built-in ones where no such file exists."""
SYSTEMS = os.path.join(os.path.dirname(__file__), "systems")
"""The folder of real systems: `VENDOR/NAME.ini`."""

Section = Mapping[str, str | float]


@dataclass(frozen=True)
class Memory:
    """One memory as the machine sees it."""

    name: str
    """One of `MEMORY_NAMES`."""
    port: str
    """`Axi0` or `Axi1`: what uses the same port shares its bandwidth."""
    bytes_per_cycle: float
    burst_length: int
    """Bytes that a transfer is made of; shorter ones take as long."""
    read_latency: int
    write_latency: int
    cores: int = 1
    """Each reads its own weights."""
    parameters: CostParameters = DEFAULT

    @cached_property
    def read_rate(self) -> float:
        """Bytes a cycle that all readers together get."""
        return self._rate(self.parameters.reads_outstanding, self.read_latency)

    @cached_property
    def write_rate(self) -> float:
        """Bytes a cycle that can be written."""
        return self._rate(self.parameters.reads_outstanding / 2, self.write_latency)

    @cached_property
    def weight_rate(self) -> float:
        """Bytes a cycle that the weights of all cores get."""
        return min(self.read_rate, self._rate(self.parameters.weight_reads_outstanding * self.cores, self.read_latency))

    @cached_property
    def shortest_access(self) -> int:
        """Bytes; a shorter access takes as long."""
        return min(self.burst_length, self.parameters.longest_burst)

    def _rate(self, outstanding: float, latency: int) -> float:
        gate = self.parameters.gate_cycles
        rate = self.bytes_per_cycle
        if gate:
            rate = ceil(rate * gate / AXI_BURST) * AXI_BURST / gate
        return min(rate, outstanding * AXI_BURST / latency) if latency else rate


@dataclass(frozen=True)
class MemorySetup:
    """Which memory holds what, for one accelerator."""

    system_config: str
    memory_mode: str
    core_clock: float
    """Hertz."""
    constants: Memory
    arena: Memory
    cache: Memory
    external: Memory
    """On the port that is not the cache's: where an application keeps what is not in the arena, as a frame buffer."""
    arena_cache_size: int
    """Bytes of fast memory: a hard limit of the cache if `spilling`, else the size the arena should keep to."""
    sized: bool
    """Somebody has named that size; else it is all that the machine can address."""

    def __hash__(self) -> int:
        # A key of caches that are asked thousands of times; equality still compares everything.
        return hash((self.system_config, self.memory_mode, self.arena_cache_size, self.constants.parameters))

    @property
    def spilling(self) -> bool:
        """The arena is slow and the cache a memory of its own."""
        return self.cache.port != self.arena.port

    @property
    def parameters(self) -> CostParameters:
        """What costs are calculated with."""
        return self.constants.parameters

    def with_parameters(self, parameters: CostParameters) -> "MemorySetup":
        """The same memories, for costs with other parameters."""
        return _with_parameters(self, parameters)

    def memory(self, area: Area) -> Memory:
        """The memory that an area lies in."""
        return getattr(self, area)


@lru_cache(maxsize=16)
def _with_parameters(setup: MemorySetup, parameters: CostParameters) -> MemorySetup:
    constants, arena, cache, external = (
        replace(memory, parameters=parameters) for memory in (setup.constants, setup.arena, setup.cache, setup.external)
    )
    return replace(setup, constants=constants, arena=arena, cache=cache, external=external)


def _system(clock: float, other: str, scale: float) -> Section:
    """A built-in system configuration: SRAM on port 0, something slower on port 1."""
    read, write = {"OffChipFlash": (64, 0), "Dram": (500, 250)}[other]
    return {
        "core_clock": clock,
        "axi0_port": "Sram",
        "axi1_port": other,
        "Sram_clock_scale": 1.0,
        "Sram_burst_length": 32,
        "Sram_read_latency": 32,
        "Sram_write_latency": 32,
        f"{other}_clock_scale": scale,
        f"{other}_burst_length": 128,
        f"{other}_read_latency": read,
        f"{other}_write_latency": write,
    }


def _mode(constants: str, arena: str, cache: str) -> Section:
    return {"const_mem_area": constants, "arena_mem_area": arena, "cache_mem_area": cache}


def _dedicated(kib: int) -> Section:
    return {"inherit": "Memory_Mode.Dedicated_Sram", "arena_cache_size": kib * 1024}


_BUILT_IN: dict[str, Section] = {
    "System_Config.Ethos_U55_Deep_Embedded": _system(200e6, "OffChipFlash", 0.0625),
    "System_Config.Ethos_U55_High_End_Embedded": _system(500e6, "OffChipFlash", 0.125),
    "System_Config.Ethos_U65_Embedded": _system(500e6, "OffChipFlash", 0.0625),
    "System_Config.Ethos_U65_Mid_End": _system(500e6, "Dram", 0.46875),
    "System_Config.Ethos_U65_High_End": _system(1e9, "Dram", 0.234375),
    "System_Config.Ethos_U65_Client_Server": _system(1e9, "Dram", 0.75),
    "Memory_Mode.Sram_Only": _mode("Axi0", "Axi0", "Axi0"),
    "Memory_Mode.Shared_Sram": _mode("Axi1", "Axi0", "Axi0"),
    "Memory_Mode.Dedicated_Sram": _mode("Axi1", "Axi1", "Axi0"),
    "Memory_Mode.Dedicated_Sram_256KB": _dedicated(256),
    "Memory_Mode.Dedicated_Sram_384KB": _dedicated(384),
    "Memory_Mode.Dedicated_Sram_512KB": _dedicated(512),
}

_DEFAULTS = {
    "U55": ("Ethos_U55_High_End_Embedded", "Shared_Sram"),
    "U65": ("Ethos_U65_Client_Server", "Dedicated_Sram_384KB"),
}


def system_files() -> list[str]:
    """The files of real systems, as `--config` names them: `VENDOR/NAME.ini`."""
    vendors = sorted(os.listdir(SYSTEMS)) if os.path.isdir(SYSTEMS) else []
    return [
        f"{vendor}/{file}"
        for vendor in vendors
        for file in sorted(os.listdir(os.path.join(SYSTEMS, vendor)))
        if file.endswith(".ini")
    ]


_given: dict[str, str] = {}
"""Texts in the place of files, by their names."""


@contextmanager
def files_given(texts: Mapping[str, str]) -> Generator[None]:
    """Configuration files of these names have these texts, whether or not there are such files."""
    before = dict(_given)
    _given.update(texts)
    try:
        yield
    finally:
        _given.clear()
        _given.update(before)


def configuration_text(path: str) -> str | None:
    """The text of a configuration file that is not built in; None where there is none that can be read."""
    if path in _given:
        return _given[path]
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return None


def _sections(path: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The sections of a file; raises ValueError, one line that names it."""
    from configparser import ConfigParser, Error  # only who brings a file pays for it

    parser = ConfigParser(interpolation=None)
    try:
        if path in _given:
            parser.read_string(_given[path], path)
        else:
            with open(path, encoding="utf-8") as file:
                parser.read_file(file)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such configuration file") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except (Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a configuration file: {' '.join(str(error).split())}") from None
    for name in parser.sections():
        yield name, dict(parser.items(name))


class _Config:
    """Sections by name, with their origin for messages. Key look-up ignores case and follows `inherit`."""

    def __init__(self, config_files: Sequence[str]) -> None:
        self.where = "the built-in configurations"
        self.sections: dict[str, dict[str, str]] = {
            name: {key.lower(): str(value) for key, value in section.items()} for name, section in _BUILT_IN.items()
        }
        for path in config_files:
            self.sections |= self.read(path)
        if config_files:
            self.where = ", ".join(config_files)

    def read(self, path: str) -> dict[str, dict[str, str]]:
        """The sections of a file, or of a built-in one where there is no such file."""
        if path not in _given and not os.path.exists(path):
            if path == BUILT_IN:
                return {}
            if path in system_files():
                path = os.path.join(SYSTEMS, path)
        return dict(_sections(path))

    def _read_systems(self) -> None:
        """The real systems, which do not take the place of anything."""
        for file in system_files():
            for name, section in _sections(os.path.join(SYSTEMS, file)):
                self.sections.setdefault(name, section)

    def names(self, kind: str) -> list[str]:
        return [name.removeprefix(kind) for name in self.sections if name.startswith(kind)]

    def section(self, kind: str, name: str, option: str) -> str:
        """The full name of a section that a command line option named."""
        if kind + name not in self.sections:
            self._read_systems()
        if kind + name not in self.sections:
            raise ValueError(
                f"{option} '{name}': no section [{kind}{name}] in {self.where}; there are {', '.join(self.names(kind))}"
            )
        return kind + name

    def text(self, section: str, key: str, default: str | None = None) -> str:
        """The value of a key, also one that is inherited; ValueError if there is none and no default."""
        name, visited = section, [section]
        while key.lower() not in self.sections[name]:
            parent = self.sections[name].get("inherit")
            if parent is None:
                if default is None:
                    raise ValueError(f"{self.where}: [{section}] has no {key}")
                return default
            if parent not in self.sections:
                raise ValueError(f"{self.where}: [{name}] inherits [{parent}], which does not exist")
            if parent in visited:
                raise ValueError(f"{self.where}: [{name}] inherits [{parent}], which inherits it")
            name = parent
            visited.append(name)
        return self.sections[name][key.lower()]

    def number(self, section: str, key: str, default: float | None = None, least: float = 0) -> float:
        text = self.text(section, key, None if default is None else str(default))
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value < float("inf"):
            raise ValueError(f"{self.where}: [{section}] {key}={text} is not a number of at least {least:g}")
        return value

    def whole(self, section: str, key: str, default: int, least: int = 0) -> int:
        value = self.number(section, key, default, least)
        if value != int(value):
            raise ValueError(f"{self.where}: [{section}] {key}={value:g} is not a whole number")
        return int(value)

    def choice(self, section: str, key: str, choices: Sequence[str]) -> str:
        text = self.text(section, key)
        if text not in choices:
            raise ValueError(f"{self.where}: [{section}] {key}={text} is none of {', '.join(choices)}")
        return text


def configurations(file: str) -> dict[str, dict[str, str]]:
    """The sections of a file by name, or of a built-in one; raises ValueError, one line that names the file."""
    known = _Config(())
    return known.sections if file == BUILT_IN and not os.path.exists(file) else known.read(file)


def _memory(config: _Config, system: str, port: str, acc: Accelerator) -> Memory:
    name = config.choice(system, f"{port.lower()}_port", MEMORY_NAMES)
    scale = config.number(system, f"{name}_clock_scale", 1.0)
    if scale == 0:
        raise ValueError(f"{config.where}: [{system}] {name}_clock_scale=0 is a memory without bandwidth")
    ports = config.whole(system, f"{name}_ports_used", 1, least=1)
    return Memory(
        name,
        port,
        acc.axi_bytes_per_cycle * scale * ports,
        config.whole(system, f"{name}_burst_length", 1, least=1),
        config.whole(system, f"{name}_read_latency", 0),
        config.whole(system, f"{name}_write_latency", 0),
        acc.cores,
    )


def default_names(acc: Accelerator) -> tuple[str, str]:
    """The system configuration and memory mode that stand where none is named: vela's defaults."""
    return _DEFAULTS[acc.product]


def memory_setup(
    acc: Accelerator,
    config_files: Sequence[str] = (),
    system_config: str | None = None,
    memory_mode: str | None = None,
    arena_cache_size: int | None = None,
) -> MemorySetup:
    """
    The memories of `acc` by the names of a system configuration and a memory mode.

    Sections of `config_files` come before built-in ones of the same name, later files before earlier.
    `arena_cache_size` (bytes) overrides the mode's. ValueError, one line that names file, section and key, for
    whatever is missing, malformed or impossible on `acc`.
    """
    config = _Config(config_files)
    default_system, default_mode = default_names(acc)
    system_config = system_config or default_system
    memory_mode = memory_mode or default_mode
    system = config.section("System_Config.", system_config, "--system-config")
    mode = config.section("Memory_Mode.", memory_mode, "--memory-mode")

    ports = {port: _memory(config, system, port, acc) for port in ("Axi0", "Axi1")}
    constants, arena, cache = (
        ports[config.choice(mode, key, list(ports))] for key in ("const_mem_area", "arena_mem_area", "cache_mem_area")
    )
    if arena.name not in ("Sram", "Dram"):
        raise ValueError(
            f"--memory-mode '{memory_mode}': the arena would lie in {arena.name} of [{system}], which is not writable"
        )
    if cache.name != "Sram":
        raise ValueError(
            f"--memory-mode '{memory_mode}': the cache would lie in {cache.name} of [{system}], not in Sram"
        )
    if constants.name == "Sram":
        if constants.port != arena.port:
            raise ValueError(
                f"--memory-mode '{memory_mode}': constants would lie in Sram of [{system}] and the arena elsewhere"
            )
        # Constants of an SRAM-only system are part of the image, so they are counted as flash of SRAM's speed.
        constants = replace(constants, name="OnChipFlash")

    reach = 1 << acc.address_bits
    sized = arena_cache_size is not None or config.text(mode, "arena_cache_size", "") != ""
    if arena_cache_size is None:
        arena_cache_size = config.whole(mode, "arena_cache_size", reach)
        origin = f"{config.where}: [{mode}] arena_cache_size"
    else:
        origin = "limit (--arena-cache-size)"
    if not 0 <= arena_cache_size <= reach:
        raise ValueError(f"{origin} {arena_cache_size}: {acc.name} addresses 0 to {reach} bytes")
    return MemorySetup(
        system_config,
        memory_mode,
        config.number(system, "core_clock", least=1),
        constants,
        arena,
        cache,
        ports["Axi1" if cache.port == "Axi0" else "Axi0"],
        arena_cache_size,
        sized,
    )
