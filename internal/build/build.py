# Runs inside the sandbox: python -I build.py SDIST INDEX TMP BACKEND. It builds one wheel in a fresh environment and
# sends what lies in the wheel directory as a tar stream through file descriptor 3. TMP may hold environment.tar, with
# what the build needs installed. Then the backend is called at once. pip does it all where there is none, and where
# it turns out that more is needed: what pip says of it then is what its users know.
import importlib.metadata
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile

sdist, index, tmp, backend = sys.argv[1:]
environment, wheels, source = (os.path.join(tmp, n) for n in ("environment", "wheels", "source"))

# Calls one hook of the backend (PEP 517), in a process of its own.
HOOK = """
import sys
call = __import__("json").loads(sys.argv.pop(1))
sys.path[:1] = call["path"]  # and not the current directory
import importlib, json
module, _, attributes = call["backend"].partition(":")
hook = importlib.import_module(module)
for name in filter(None, attributes.split(".")):
    hook = getattr(hook, name)
hook = getattr(hook, call["hook"], None) if call["optional"] else getattr(hook, call["hook"])
answer = hook(*call["arguments"]) if hook else []
with open(call["answer"], "w") as out:
    json.dump(answer, out)
"""


class Otherwise(Exception):
    """Why pip has to do it all."""


def run(*command, **options):
    status = subprocess.run(command, close_fds=True, **options).returncode
    if status:
        sys.exit(status if status > 0 else 128 - status)


class Step:
    """Tells the seconds of a step, and those of CPU that it and what it started took."""

    def __init__(self, what):
        self.what, self.began = what, self.now()

    def now(self):
        usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return time.monotonic(), sum(u.ru_utime + u.ru_stime for u in usage)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        wall, cpu = (a - b for a, b in zip(self.now(), self.began))
        print("[%.2f s, %.2f s of CPU: %s]" % (wall, cpu, self.what), flush=True)


def pip(*command):
    # The root's own pip serves the environment: making one with pip in it takes two seconds more.
    if importlib.util.find_spec("pip"):
        run(sys.executable, "-I", "-m", "pip", "--python", environment, *command)
    else:
        run(os.path.join(environment, "bin", "python"), "-I", "-m", "pip", *command)


def build_with_pip():
    run(sys.executable, "-I", "-m", "venv", *(["--without-pip"] if importlib.util.find_spec("pip") else []), environment)
    with Step("pip wheel"):
        # Verbose, because pip keeps to itself what a quiet build prints, all of it in memory.
        pip("wheel", "--verbose", "--isolated", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar", "off",
            "--use-pep517", "--index-url", index, "--wheel-dir", wheels, sdist)


def unpack():
    archive = os.path.join(tmp, "environment.tar")
    if shutil.which("tar"):  # several times as fast
        run("tar", "-C", tmp, "-xf", archive)
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(tmp, **({"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}))
    os.remove(archive)
    os.mkdir(source)
    try:
        with tarfile.open(sdist) as tar:
            tar.extractall(source, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        (top,) = os.listdir(source)
    except (OSError, ValueError, tarfile.TarError) as e:
        raise Otherwise("source distribution: %s" % e)
    return os.path.join(source, top)


def call(top, hook, *arguments, optional=False):
    answer = os.path.join(tmp, "answer.json")
    b = json.loads(backend)
    request = dict(b, path=[os.path.join(top, p) for p in b["path"]], hook=hook, arguments=arguments, answer=answer, optional=optional)
    programs = os.path.join(environment, "bin")
    with Step(hook):
        done = subprocess.run([os.path.join(programs, "python"), "-c", HOOK, json.dumps(request)], cwd=top, stdin=subprocess.DEVNULL,
                              env=dict(os.environ, PATH=programs + os.pathsep + os.environ["PATH"]))
    if done.returncode:
        print("Failed to build: %s of %s ended with exit status %d" % (hook, b["backend"], done.returncode), flush=True)
        sys.exit(done.returncode if done.returncode > 0 else 128 - done.returncode)
    with open(answer) as text:
        return json.load(text)


def for_this_python(lines):
    from pip._vendor.packaging.specifiers import SpecifierSet
    for line in lines:
        name, _, value = line.partition(":")
        if not line.strip():
            break
        if name.lower() == "requires-python" and not SpecifierSet(value.strip()).contains("%d.%d.%d" % sys.version_info[:3]):
            raise Otherwise("for Python %s" % value.strip())


def wheel_for_this_python():
    try:
        (name,) = os.listdir(wheels)
        with zipfile.ZipFile(os.path.join(wheels, name)) as wheel:
            (metadata,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
            lines = wheel.read(metadata).decode(errors="replace").splitlines()
    except (OSError, ValueError, zipfile.BadZipFile):
        return  # whoever gets it says what is wrong with it
    for_this_python(lines)


def all_there(needs):
    from pip._vendor.packaging.requirements import Requirement
    from pip._vendor.packaging.utils import canonicalize_name
    site = [os.path.join(environment, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")]
    there = {canonicalize_name(d.metadata["Name"]): d.version for d in importlib.metadata.distributions(path=site)}
    for need in map(Requirement, needs):
        version = there.get(canonicalize_name(need.name))
        if need.marker and not need.marker.evaluate({"extra": ""}):
            continue
        if version is None or need.url or need.extras or not need.specifier.contains(version, prereleases=True):
            raise Otherwise("the backend needs %s, too" % need)


def build_at_once():
    with Step("unpack"):
        top = unpack()
    metadata = os.path.join(top, "PKG-INFO")
    if os.path.isfile(metadata):
        with open(metadata, encoding="utf-8", errors="replace") as lines:
            for_this_python(lines)
    needs = call(top, "get_requires_for_build_wheel", None, optional=True)
    if needs:
        all_there(needs)
    call(top, "build_wheel", wheels, None, None)
    wheel_for_this_python()


def build():
    if not os.path.exists(os.path.join(tmp, "environment.tar")):
        return build_with_pip()
    try:
        build_at_once()
    except Otherwise as why:
        print("[pip does it all: %s]" % why, flush=True)
        for directory in environment, source, wheels:
            shutil.rmtree(directory, ignore_errors=True)
        os.mkdir(wheels)
        build_with_pip()


os.mkdir(wheels)
build()
with os.fdopen(3, "wb") as out, tarfile.open(fileobj=out, mode="w|") as tar:
    for name in sorted(os.listdir(wheels)):
        tar.add(os.path.join(wheels, name), arcname=name, recursive=False)
