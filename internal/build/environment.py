# Runs inside a sandbox of its own: python -I environment.py INDEX TMP REQUIREMENT... It makes an environment with the
# requirements, of wheels only, and sends it as a tar stream through file descriptor 3.
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile

index, tmp, *requirements = sys.argv[1:]
environment = os.path.join(tmp, "environment")

if not importlib.util.find_spec("pip"):
    sys.exit("the root's Python has no pip of its own")
subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", environment], check=True)
if requirements:
    subprocess.run([sys.executable, "-I", "-m", "pip", "--python", environment, "install", "--isolated", "--only-binary", ":all:", "--no-cache-dir",
                    "--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--index-url", index, "--", *requirements], check=True)
if shutil.which("tar"):  # several times as fast
    subprocess.run(["tar", "-C", tmp, "-cf", "-", "environment"], stdout=3, check=True)
else:
    with os.fdopen(3, "wb") as out, tarfile.open(fileobj=out, mode="w|") as tar:
        tar.add(environment, arcname="environment")
