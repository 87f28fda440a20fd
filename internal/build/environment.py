# Runs inside a sandbox of its own: python -I environment.py INDEX TMP REQUIREMENT... It makes an environment with the
# requirements, of wheels only and within TMP/constraints.txt, if it is there, and sends it as a tar stream through file
# descriptor 3.
import os
import re
import shutil
import subprocess
import sys
import tarfile

index, tmp, *requirements = sys.argv[1:]
environment, constraints = os.path.join(tmp, "environment"), os.path.join(tmp, "constraints.txt")

os.umask(0o022)
pip = [sys.executable, "-I", "-m", "pip"]
version = re.findall(r"\d+", subprocess.run(pip + ["--version"], stdout=subprocess.PIPE, universal_newlines=True).stdout)
if [int(n) for n in version[:2]] < [22, 3]:
    sys.exit("the root's Python has no pip that can serve another environment: it needs 22.3")
subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", environment], check=True)
if requirements:
    bounds = ["--constraint", constraints] if os.path.exists(constraints) else []
    subprocess.run(pip + ["--python", environment, "install", "--isolated", "--only-binary", ":all:", "--no-cache-dir", "--disable-pip-version-check",
                          "--no-input", "--progress-bar", "off", *bounds, "--index-url", index, "--", *requirements], check=True)
if shutil.which("tar"):  # several times as fast
    subprocess.run(["tar", "-C", tmp, "-cf", "-", "environment"], stdout=3, check=True)
else:
    with os.fdopen(3, "wb") as out, tarfile.open(fileobj=out, mode="w|") as tar:
        tar.add(environment, arcname="environment")
