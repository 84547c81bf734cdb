"""The stand-alone verifier of archive/, as a module and as a program of its own."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

PROGRAM = Path(__file__).parents[2] / "archive" / "verify_proof.py"


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_proof", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


verifier = _module()


def run_alone(proof: Path, evidence: Path, *keys: Path) -> subprocess.CompletedProcess[str]:
    """Run it as an auditor does: isolated, without site packages, without our environment."""
    return subprocess.run(
        [sys.executable, "-I", "-S", PROGRAM, proof, evidence,
         *(part for key in keys for part in ("--key", key))],
        env={}, capture_output=True, text=True, check=False,
    )  # fmt: skip
