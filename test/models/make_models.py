"""
Makes every test model, its golden data and the manifest. See README.md.

    python test/models/make_models.py                        all of them (needs the extras `run` and `models`)
    python test/models/make_models.py --without-tensorflow   those of the tiny writer (needs the extra `run`)
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import zlib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import golden  # noqa: E402
from entry import Entry  # noqa: E402

MANIFEST = HERE / "manifest.json"
TINY = ("operator_models", "odd")
CONVERTED = ("converted",)


def operator_names(model: bytes) -> list[str]:
    """
    The operators of the main subgraph in execution order; custom ones as CUSTOM:code. DENSIFY of a constant is not one
    of them, but a way to store it.
    """
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
    root = schema.Model.GetRootAs(model)
    found = []
    for position in range(root.Subgraphs(0).OperatorsLength()):
        code = root.OperatorCodes(root.Subgraphs(0).Operators(position).OpcodeIndex())
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        custom = code.CustomCode()
        if names[builtin] == "DENSIFY":
            continue
        found.append(names[builtin] if custom is None else f"CUSTOM:{custom.decode()}")
    return found


def write(entry: Entry, source: str) -> dict[str, Any]:
    """Write NAME.tflite and NAME.npz; returns the manifest's entry."""
    (HERE / f"{entry.name}.tflite").write_bytes(entry.data)
    comparisons = 0
    if entry.golden:
        made = golden.make(entry.twin or entry.data, zlib.crc32(entry.name.encode()), entry.samples)
        golden.save(HERE / f"{entry.name}.npz", made)
        comparisons = made.comparisons
    operators = operator_names(entry.data)
    return {
        "about": entry.about,
        "source": source,
        "operators": operators,
        "npu": [i for i in range(len(operators)) if i not in entry.cpu],
        "litert": entry.golden and entry.twin is None,
        "comparisons": comparisons,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Make the test models, their golden data and the manifest.")
    parser.add_argument(
        "--without-tensorflow", action="store_true", help="keep the models of the converter as they are"
    )
    sources = TINY if parser.parse_args().without_tensorflow else TINY + CONVERTED
    old = json.loads(MANIFEST.read_text()) if MANIFEST.exists() else {}
    manifest = {name: entry for name, entry in old.items() if entry["source"] not in sources}
    for source in sources:
        for entry in importlib.import_module(source).models():
            if entry.name in manifest:
                raise SystemExit(f"two models are named {entry.name}")
            manifest[entry.name] = write(entry, source)
    for stale in set(old) - set(manifest):
        for suffix in (".tflite", ".npz"):
            (HERE / f"{stale}{suffix}").unlink(missing_ok=True)
    lines = [f"{json.dumps(name)}: {json.dumps(manifest[name])}" for name in sorted(manifest)]
    MANIFEST.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(manifest)} models, {sum(e['comparisons'] for e in manifest.values())} comparisons")


if __name__ == "__main__":
    main()
