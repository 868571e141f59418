import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
import torch
from molgen.models.checkpoints import load_checkpoint
backend = load_checkpoint(sys.argv[1]).backend
for sampler in backend.samplers[:1]:
    backend.sample(5, 2, steps=2, sampler=sampler, generator=torch.Generator().manual_seed(0))
"""


@pytest.mark.parametrize("name", ["qm9-digress", "qm9-edge", "qm9-edpgnn", "qm9-nvdiff"])
def test_loading_and_sampling_leave_nothing_in_the_temporary_folder(name, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "TORCHINDUCTOR_CACHE_DIR"}
    environment["TMPDIR"] = str(tmp_path)
    subprocess.run([sys.executable, "-c", SCRIPT, name], env=environment, check=True, timeout=120)
    assert list(tmp_path.iterdir()) == []
