"""Another user of the machine, who can reach a scheduler's port, cannot make it run anything."""

import json
import os
import shutil
import subprocess
import sys

import pytest

PROGRAM = """
import json, os, sys
from distributed import Client, Security
address, files = sys.argv[1], json.loads(sys.argv[2])
plain = address.replace("tls://", "tcp://")
ways = {"own": (address, Security(**files))} if files else {
    "certificates of one's own": (address, Security.temporary()), "plain": (plain, Security())
}
told = {"uid": os.getuid()}
for way, (place, security) in ways.items():
    try:
        with Client(place, security=security, timeout=3) as client:
            told[way] = client.run_on_scheduler(os.getpid)
    except OSError:
        told[way] = "refused"
print(json.dumps(told))
"""


def ask(cluster, files, *before):
    """What somebody is told who asks the scheduler for the number of its process."""
    command = [*before, sys.executable, "-c", PROGRAM, cluster.address, json.dumps(files)]
    home = {"HOME": "/nonexistent"} if before else {}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd="/", env={**os.environ, **home}, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.fault("stranger on the network")
def test_another_user_of_the_machine_is_not_let_in(cluster, injected):
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become another user, by setpriv")
    names = {"tls_ca_file": "ca", "tls_client_cert": "cert", "tls_client_key": "key"}
    files = {setting: str(cluster.certificates / f"{name}.pem") for setting, name in names.items()}
    assert ask(cluster, {**files, "require_encryption": True}) == {"uid": os.geteuid(), "own": os.getpid()}
    told = ask(cluster, {}, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    assert told == {"uid": 65534, "certificates of one's own": "refused", "plain": "refused"}
    injected(2)
