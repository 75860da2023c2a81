"""Peers in environments of their own: made once from their pinned requirements, kept in the cache folder.

In: the name of a requirements file in `benchmarks/peers/`. Out: the Python of its environment; the JSON that a script
of that folder prints on its last line. Making datatrove's environment downloads 250 MB and takes some minutes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from resources.bundled_model import cache_folder

PEERS: Final = Path(__file__).parent / "peers"


def peer_python(name: str) -> Path:
    """The Python of the environment that `peers/<name>.txt` describes; made if absent.

    Raises:
        subprocess.CalledProcessError: a package cannot be had.
    """
    requirements = PEERS / f"{name}.txt"
    version = hashlib.blake2b(requirements.read_bytes(), digest_size=6).hexdigest()
    folder = cache_folder() / "benchmarks" / f"{name}-{version}"
    done = folder / "complete"
    if not done.exists():
        print(f"making {name}'s environment in {folder}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", "-r", str(requirements)]
        subprocess.run(install, check=True)
        done.touch()
    return folder / "bin" / "python"


def run_json(python: Path, script: Path, *arguments: str) -> dict[str, float]:
    """What a script prints as JSON on its last line; what else it says goes to standard error.

    Raises:
        subprocess.CalledProcessError: the script failed.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": ""}
    command = [str(python), str(script), *arguments]
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


__all__ = ["PEERS", "peer_python", "run_json"]
