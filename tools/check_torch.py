"""Fail if the installed torch has CUDA: the course runs on the CPU, and CUDA takes gigabytes."""

import sys
from importlib.metadata import distributions

import torch

cuda = sorted({name for found in distributions() if (name := found.metadata["Name"] or "").startswith("nvidia-")})
if torch.version.cuda is not None or cuda:
    sys.exit(
        f"torch must be the CPU build, but pip installed torch {torch.__version__}"
        f" (CUDA {torch.version.cuda}; {len(cuda)} nvidia packages).\n"
        "Remove .venv and try again, or accept this torch with: make lab TORCH_INDEX="
    )
