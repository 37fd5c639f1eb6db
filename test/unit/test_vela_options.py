"""
`npu-compile` takes vela's command line: docs/vela.md lists every option of the parser, files have vela's columns, and
where vela is installed (`VELA`, or on the path) ten command lines go through both compilers.
"""

import csv
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from npuc import __version__
from npuc.hardware.accelerators import accelerator
from npuc.hardware.memory import memory_setup, system_files
from npuc.lowering.command_stream.payload import unwrap
from npuc.tools.compiling.arguments import VERBOSE, WITHOUT_EFFECT, WITHOUT_EFFECT_OF_VALUE, parser
from npuc.tools.npu_compile import main
from npuc.tools.profiling.profile import profile

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "test" / "models"
MODEL = str(MODELS / "digits_cnn.tflite")
VELA = os.environ.get("VELA") or shutil.which("vela")
OWN = frozenset(
    "dump-ir external-inputs inline-constants integer-io jobs json load-pass no-debug-info output over-limit parts-dir "
    "pipeline print-pipeline rebuild report round-trip source suffix to verify-each".split()
)
"""Options that vela has not."""
SUMMARY = (
    "experiment,network,accelerator_configuration,system_config,memory_mode,core_clock,arena_cache_size,sram_bandwidth,"
    "dram_bandwidth,on_chip_flash_bandwidth,off_chip_flash_bandwidth,weights_storage_area,feature_map_storage_area,"
    "inferences_per_second,batch_size,inference_time,passes_before_fusing,passes_after_fusing,sram_memory_used,"
    "dram_memory_used,on_chip_flash_memory_used,off_chip_flash_memory_used,total_original_weights,"
    "total_npu_encoded_weights,sram_feature_map_read_bytes,sram_feature_map_write_bytes,sram_weight_read_bytes,"
    "sram_weight_write_bytes,sram_total_bytes,dram_feature_map_read_bytes,dram_feature_map_write_bytes,"
    "dram_weight_read_bytes,dram_weight_write_bytes,dram_total_bytes,on_chip_flash_feature_map_read_bytes,"
    "on_chip_flash_feature_map_write_bytes,on_chip_flash_weight_read_bytes,on_chip_flash_weight_write_bytes,"
    "on_chip_flash_total_bytes,off_chip_flash_feature_map_read_bytes,off_chip_flash_feature_map_write_bytes,"
    "off_chip_flash_weight_read_bytes,off_chip_flash_weight_write_bytes,off_chip_flash_total_bytes,nn_macs,nn_tops,"
    "cycles_npu,cycles_sram_access,cycles_dram_access,cycles_on_chip_flash_access,cycles_off_chip_flash_access,"
    "cycles_total"
)


def options() -> set[str]:
    """The long options of our parser."""
    strings = (text for action in parser()._actions for text in action.option_strings)
    return {text.removeprefix("--") for text in strings if text.startswith("--")}


def documented() -> dict[str, str]:
    """The options in docs/vela.md, and whether they do the same, the nearest, or nothing."""
    page = (ROOT / "docs" / "vela.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `--([a-z0-9-]+)`[^|]*\| (\w+) \|", page, re.MULTILINE))


def test_the_page_lists_what_the_parser_takes() -> None:
    table = documented()
    assert set(table) == options() - OWN
    assert set(table.values()) == {"same", "near", "none"}
    without = {*WITHOUT_EFFECT, *WITHOUT_EFFECT_OF_VALUE, "cpu-tensor-alignment", "cop-format", "separate-io-regions"}
    assert {name for name, what in table.items() if what == "none"} == without
    assert all(table[f"verbose-{name}"] != "none" for name in VERBOSE)


def test_summary_and_arrays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The summary has vela's columns and agrees with the profile; the arrays are the bytes of the model's file."""
    command = [MODEL, "--accelerator-config=ethos-u55-128", f"--output-dir={tmp_path}"]
    assert main([*command, "--arena-cache-size=1024", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    with open(tmp_path / "digits_cnn_summary_Ethos_U55_High_End_Embedded.csv", encoding="utf-8", newline="") as file:
        titles, cells = csv.reader(file)
    assert ",".join(titles) == SUMMARY
    row = dict(zip(titles, cells, strict=True))
    data = (tmp_path / "digits_cnn_npuc.tflite").read_bytes()
    known = profile(data)
    assert row["accelerator_configuration"] == "Ethos_U55_128"
    assert (row["weights_storage_area"], row["feature_map_storage_area"]) == ("Off-chip Flash", "SRAM")
    assert float(row["arena_cache_size"]) == 1
    assert int(row["cycles_total"]) == known.cycles == told["cycles"]
    assert int(row["nn_macs"]) == known.macs
    assert int(row["total_original_weights"]) == 9 * 12 + 9 * 12 * 24 + 9 * 24 * 24 + 96 * 10 * 1
    assert 0 < int(row["total_npu_encoded_weights"]) <= told["read_only"]
    assert float(row["sram_memory_used"]) * 1024 == told["arena"] <= 1024
    traffic = {"sram": known.traffic()["arena"], "off_chip_flash": known.traffic()["constants"]}
    for memory, moved in traffic.items():
        assert int(row[f"{memory}_total_bytes"]) == sum(moved) > 0

    assert main([*command, "--arena-cache-size=1024", "--output-format=raw"]) == 0
    with np.load(tmp_path / "digits_cnn_npuc.npz", allow_pickle=True) as arrays:
        assert unwrap(arrays["cmd_data"].tobytes()).accelerator is accelerator("ethos-u55-128")
        assert arrays["cmd_data"].tobytes() in data
        assert arrays["weight_data"].tobytes() in data
        assert arrays["scratch_size"] == told["arena"]
        assert arrays["input_shape"].tolist() == [[1, 8, 8, 1]]
        assert arrays["output_shape"].tolist() == [[1, 10]]
        assert arrays["input_elem_size"].tolist() == [1]
        assert arrays["input_quantization"][0]["zero_point"].tolist() == [-1]
    whole = (tmp_path / "digits_cnn_npuc.npz").read_bytes()
    assert main([*command, "--arena-cache-size=1024", "--output-format=raw"]) == 0
    assert (tmp_path / "digits_cnn_npuc.npz").read_bytes() == whole


def test_real_systems() -> None:
    """Each file of a vendor is complete, and its names are known without it."""
    machine = accelerator("ethos-u55-128")
    for name, megahertz in {
        "RTSS_HP_SRAM_MRAM": 400,
        "RTSS_HE_SRAM_MRAM": 160,
        "Corstone_300": 500,
        "Himax_WE2": 400,
        "RA8P1": 500,
    }.items():
        setup = memory_setup(machine, (), name, "Shared_Sram")
        assert setup.core_clock == megahertz * 1e6
        assert (setup.arena.name, setup.constants.name) == ("Sram", "OffChipFlash")
    assert memory_setup(machine, ["Alif/ensemble.ini"], "RTSS_HP_SRAM_MRAM").arena.bytes_per_cycle == 8 * 0.762
    assert len(system_files()) == 4


REFUSED = {
    "": "no model is named (see --help)",
    f"{MODEL} --accelerator-config ethos-u85-256": "--accelerator-config ethos-u85-256: npuc compiles for Ethos-U55",
    f"{MODEL} --ignore-ops NO_SUCH": f"{MODEL}: tfl-partition: ignore: no operator of TFLite is called NO_SUCH",
    f"{MODELS / 'stateful.tflite'} --output-format raw": "--output-format raw: ",
    f"{MODEL} --output-format raw -o x.npz": "--output-format raw: it goes with --output-dir",
    f"{MODEL} --separate-io-regions": "--separate-io-regions: it goes with --cop-format COP2",
    f"{MODEL} --cpu-tensor-alignment 24": "--cpu-tensor-alignment 24: it is a power of 2 of at least 16",
    f"{MODEL} --experimental-softmax-int16-neg-exp-range 0": "--experimental-softmax-int16-neg-exp-range 0: it lies",
    f"{MODEL} --max-block-dependency 4": "argument --max-block-dependency: invalid choice: 4",
    f"{MODEL} --arena-cache-size 600": f"{MODEL}: the limit is 600 bytes of SRAM, the smallest found to work is ",
    f"{MODEL} a/digits_cnn.tflite": f"{MODEL} and a/digits_cnn.tflite would be written to one file",
    f"{MODEL} other.tflite -o x": "--output: it is for one model, not for 2",
    f"{MODEL} --suffix /x": "--suffix /x: it is part of a file's name, not of a folder's",
    f"{MODEL} -j 0": "--jobs 0: it takes at least one process",
    "--list-configs missing.ini": "--list-configs: missing.ini: no such configuration file",
}


@pytest.mark.parametrize("line", REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_is_one_line(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"npu-compile: error: {REFUSED[line]}")
    assert said.err.count("\n") == 1
    assert not list(tmp_path.rglob("*.*"))


def test_what_is_only_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for line in ("--version", "--list-config-files", "--list-configs Arm/vela.ini", "--supported-ops-report"):
        assert main(line.split()) == 0
    version, _, *lines = capsys.readouterr().out.splitlines()
    assert version == __version__
    assert lines[:2] == ["Arm/vela.ini", "Alif/ensemble.ini"]
    assert "   Memory_Mode.Dedicated_Sram_512KB" in lines
    assert any(one.startswith("   System_Config.RTSS_HE_SRAM_MRAM ") and "Alif Ensemble" in one for one in lines)
    assert "| CONV_2D | " in (tmp_path / "SUPPORTED_OPS.md").read_text(encoding="utf-8")


TEN = {
    "plain": "",
    "u65": "--accelerator-config ethos-u65-512 --system-config Ethos_U65_High_End --memory-mode Dedicated_Sram_384KB",
    "config": "--config Arm/vela.ini --system-config Ethos_U55_Deep_Embedded --memory-mode Sram_Only",
    "defaults": "--system-config internal-default --memory-mode internal-default --tensor-allocator Greedy",
    "size": "--optimise Size --accelerator-config ethos-u55-32",
    "limit": "--arena-cache-size 1200 --optimise Performance --max-block-dependency 1",
    "verbose": "--verbose-all --show-cpu-operations --timing",
    "performance": "--verbose-performance --accelerator-config ethos-u55-64",
    "database": "--enable-debug-db --ignore-ops SOFTMAX,MAX_POOL_2D --cpu-tensor-alignment 16",
    "raw": "--output-format raw --verbose-cycle-estimate --show-subgraph-io-summary --recursion-limit 2000",
}


@pytest.mark.skipif(VELA is None, reason="vela is not installed")
def test_the_options_are_those_of_vela() -> None:
    assert VELA is not None
    text = subprocess.run([VELA, "--help"], capture_output=True, text=True, check=True).stdout
    theirs = set(re.findall(r"^ +(?:-h, )?--([a-z0-9-]+)", text, re.MULTILINE))
    assert set(documented()) == theirs
    marked = set(re.findall(r"^\| `--([a-z0-9-]+)` †", (ROOT / "docs" / "vela.md").read_text("utf-8"), re.MULTILINE))
    deprecated = set(re.findall(r"--([a-z0-9-]+)(?: \S+)?\s+\[DEPRECATED\]", text))
    assert marked - {"debug-force-legacy-core"} == deprecated  # which vela's help does not mark


@pytest.mark.skipif(VELA is None, reason="vela is not installed")
@pytest.mark.parametrize("name", TEN)
def test_ten_command_lines(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both compilers take the line, and leave files of the same names, with the same columns."""
    assert VELA is not None
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    line = [MODEL, *TEN[name].split()]
    assert main(["--suffix=_vela", *line, f"--output-dir={ours}"]) == 0, capsys.readouterr().err
    subprocess.run([VELA, *line, f"--output-dir={theirs}"], capture_output=True, check=True)
    names = {path.name for path in theirs.iterdir()}
    assert {path.name for path in ours.iterdir()} == names
    for table in (one for one in names if one.endswith(".csv")):
        heads = [(folder / table).read_text("utf-8").splitlines()[0] for folder in (ours, theirs)]
        assert heads[0] == heads[1]
    if name == "raw":
        files = [np.load(folder / "digits_cnn_vela.npz", allow_pickle=True) for folder in (ours, theirs)]
        assert set(files[0].files) == set(files[1].files)
