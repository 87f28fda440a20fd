# Runs inside the sandbox: python -I build.py SDIST INDEX TMP. It builds one wheel in a fresh environment and
# sends what lies in the wheel directory as a tar stream through file descriptor 3.
import importlib.util
import os
import subprocess
import sys
import tarfile

sdist, index, tmp = sys.argv[1:]
environment, wheels = os.path.join(tmp, "environment"), os.path.join(tmp, "wheels")


def run(*command):
    status = subprocess.run(command, close_fds=True).returncode
    if status:
        sys.exit(status if status > 0 else 128 - status)


def pip(*command):
    # The root's own pip serves the environment: making one with pip in it takes two seconds more.
    if importlib.util.find_spec("pip"):
        run(sys.executable, "-I", "-m", "pip", "--python", environment, *command)
    else:
        run(os.path.join(environment, "bin", "python"), "-I", "-m", "pip", *command)


os.mkdir(wheels)
run(sys.executable, "-I", "-m", "venv", *(["--without-pip"] if importlib.util.find_spec("pip") else []), environment)
# Verbose, because pip keeps to itself what a quiet build prints, all of it in memory.
pip("wheel", "--verbose", "--isolated", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar", "off",
    "--use-pep517", "--index-url", index, "--wheel-dir", wheels, sdist)
with os.fdopen(3, "wb") as out, tarfile.open(fileobj=out, mode="w|") as tar:
    for name in sorted(os.listdir(wheels)):
        tar.add(os.path.join(wheels, name), arcname=name, recursive=False)
