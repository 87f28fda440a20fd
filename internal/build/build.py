# Runs inside the sandbox: python -I build.py SDIST INDEX TMP BACKEND. It builds one wheel in a fresh environment and
# sends what lies in the wheel directory as a tar stream through file descriptor 3. TMP may hold environment.tar, with
# what the build needs installed, and constraints.txt, which bounds what is. Then the backend is called at once. pip
# does it all where there is no environment, where the unpacked source is not what its archive seemed to be, and where
# it turns out that more is needed: what pip says of it then is what its users know.
import importlib.util
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import zipfile

sdist, index, tmp, backend = sys.argv[1:]
environment, wheels, source, constraints = (os.path.join(tmp, n) for n in ("environment", "wheels", "source", "constraints.txt"))

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

# What is assumed of a source with setup.py alone (PEP 518, PEP 517).
LEGACY = {"requires": ["setuptools>=40.8.0", "wheel"], "backend": "setuptools.build_meta:__legacy__", "path": []}


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


def settle():
    """What is made may be read by all, and is compiled as this Python was, without debugging symbols: they name random
    directories. Some versions of setuptools take CFLAGS in place of Python's own flags, others add it to them."""
    os.umask(0o022)
    own = (sysconfig.get_config_var("CFLAGS") or "-O2").split()
    os.environ["CFLAGS"] = " ".join(own + ["-g0"])
    os.environ["CXXFLAGS"] = " ".join([f for f in own if not f.startswith("-std=")] + ["-g0"])


def pip_version(python=None):
    """The version of the root's pip, or of an environment's; none is older than all."""
    if python is None and not importlib.util.find_spec("pip"):
        return (0, 0)
    text = subprocess.run([python or sys.executable, "-I", "-m", "pip", "--version"], stdout=subprocess.PIPE, universal_newlines=True).stdout
    return tuple(int(n) for n in (re.findall(r"\d+", text) + ["0", "0"])[:2])


def build_with_pip():
    # The root's own pip serves the environment, if it can: making one with pip in it takes two seconds more.
    python = os.path.join(environment, "bin", "python")
    version = pip_version()
    if version >= (22, 3):
        pip = [sys.executable, "-I", "-m", "pip", "--python", environment]
        run(sys.executable, "-I", "-m", "venv", "--without-pip", environment)
    else:
        pip = [python, "-I", "-m", "pip"]
        run(sys.executable, "-I", "-m", "venv", environment)
        version = pip_version(python)
    bounds = []
    if os.path.exists(constraints):
        if version >= (25, 3):
            bounds = ["--build-constraint", constraints]
        else:  # reaches the pip that fills the build's environment; this one here reads no variables
            os.environ["PIP_CONSTRAINT"] = constraints
    with Step("pip wheel"):
        # Verbose, because pip keeps to itself what a quiet build prints, all of it in memory.
        run(*pip, "wheel", "--verbose", "--isolated", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar", "off",
            "--use-pep517", *bounds, "--index-url", index, "--wheel-dir", wheels, sdist)


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
        if sdist.endswith(".zip"):
            with zipfile.ZipFile(sdist) as archive:
                archive.extractall(source)
        else:
            with tarfile.open(sdist) as tar:
                tar.extractall(source, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        (top,) = os.listdir(source)
    except (OSError, ValueError, tarfile.TarError, zipfile.BadZipFile) as e:
        raise Otherwise("source distribution: %s" % e)
    return os.path.join(source, top)


def described(top):
    """What the unpacked source says of its backend, as the caller read it in the archive."""
    project = os.path.join(top, "pyproject.toml")
    if not os.path.lexists(project):
        if not os.path.isfile(os.path.join(top, "setup.py")):
            raise Otherwise("the source has neither pyproject.toml nor setup.py")
        return LEGACY
    try:
        import tomllib
    except ImportError:
        try:
            from pip._vendor import tomli as tomllib
        except ImportError:
            raise Otherwise("this Python reads no TOML")
    try:
        with open(project, "rb") as text:
            table = tomllib.load(text).get("build-system")
        if table is None:
            return LEGACY
        return {"requires": list(table.get("requires", [])), "backend": table.get("build-backend") or LEGACY["backend"], "path": list(table.get("backend-path", []))}
    except (OSError, ValueError, AttributeError, TypeError) as e:
        raise Otherwise("pyproject.toml: %s" % e)


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
    from pip._vendor.packaging.specifiers import InvalidSpecifier, SpecifierSet
    for line in lines:
        name, _, value = line.partition(":")
        if not line.strip():
            break
        if name.lower() != "requires-python":
            continue
        try:
            if not SpecifierSet(value.strip()).contains("%d.%d.%d" % sys.version_info[:3]):
                raise Otherwise("for Python %s" % value.strip())
        except InvalidSpecifier as e:  # pip passes it over, too
            print("Requires-Python is passed over: %s" % e, flush=True)


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
    import importlib.metadata
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
    if described(top) != json.loads(backend):
        raise Otherwise("the unpacked source describes another build than its archive")
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


settle()
os.mkdir(wheels)
build()
with os.fdopen(3, "wb") as out, tarfile.open(fileobj=out, mode="w|") as tar:
    for name in sorted(os.listdir(wheels)):
        tar.add(os.path.join(wheels, name), arcname=name, recursive=False)
