"""Records what Python's own library says about versions, specifiers, markers and requirements.

    pip install packaging==26.3 && python3 answers.py > answers.json
"""

import itertools
import json
import sys

import packaging
from packaging.markers import InvalidMarker, Marker, UndefinedComparison
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

VERSIONS = """1 1.0 1.0.0 1.1 1.2 1.2.0 1.2.3 1.10 2.0 2.0.1 0.9 1.0a1 1.0b2 1.0rc1 1.2rc1 1.2.dev0 1.2.dev1 1.2a1.dev2
1.2.post1 1.2.post1.dev3 1.2-1 1.2+local 1.2+local.7 1.2.post1+x 1!1.0 1!0.5 v1.2 1.2-alpha.3 20240101.123456789012345 1.2.3.4
2022.7.1 3.11 3.9.18 99999999999999999999.1 2.0.dev1 2.0rc1 2.0.post1 1.2.0.post1""".split()

CLAUSES = """==1.2 ==1.2.0 ==1.2.* ==1.* !=1.2 !=1.2.* ==1.2+local ==1.2rc1 ==1.2.post1 ==1!1.0 ==1!1.*
~=1.2 ~=1.2.0 ~=1.2.3 ~=1.2rc1 ~=1.2.post1 ~=1!0.5 <1.2 <1.2rc1 <1.2.post1 <2.0 <1!0 <=1.2 <=1.2.post1 <=1.2a1
>1.2 >1.2.post1 >1.2rc1 >1.2.dev0 >=1.2 >=1.2.dev0 >=1.2rc1 >=2022.7 >=99999999999999999998 ===1.2 ===1.2+LOCAL ===v1.2
>=1,<2 >=1.0,!=1.2.*,<2 <2,>=1.2rc1 ~=1.0,!=1.1""".split() + ["", ">= 1.2 , < 2", " ==1.2 "]

INVALID_CLAUSES = ["1.2", "=1.2", "=>1.2", ">=1.2.*", "~=1", "~=1.2.*", ">1.2+local", "==1.2.*.*", "==1.2rc1.*", "==1.2.dev1.*",
    "==1.2+x.*", ">=1.2 <2", "==", ">=x", "<>1.2", "==1.2.post1.*", "== 1 2", ">=1..2", "==1.2-", "===1;2", "~=1.2+local", "!=*"]

ENVIRONMENTS = [
    {"implementation_name": "cpython", "implementation_version": "3.11.2", "os_name": "posix", "platform_machine": "x86_64",
     "platform_release": "6.1.0-18-amd64", "platform_system": "Linux", "platform_version": "#1 SMP", "python_full_version": "3.11.2",
     "platform_python_implementation": "CPython", "python_version": "3.11", "sys_platform": "linux", "extra": ""},
    {"implementation_name": "cpython", "implementation_version": "3.9.18", "os_name": "posix", "platform_machine": "aarch64",
     "platform_release": "6.1", "platform_system": "Linux", "platform_version": "#1 SMP", "python_full_version": "3.9.18",
     "platform_python_implementation": "CPython", "python_version": "3.9", "sys_platform": "linux", "extra": "Big_Data"},
    {"implementation_name": "pypy", "implementation_version": "7.3.1", "os_name": "nt", "platform_machine": "AMD64",
     "platform_release": "10", "platform_system": "Windows", "platform_version": "10.0.1", "python_full_version": "3.13.0rc1",
     "platform_python_implementation": "PyPy", "python_version": "3.13", "sys_platform": "win32", "extra": "test"},
]

MARKERS = """python_version >= "3.9"
python_version<'3.10'
python_version=='3.9'
python_version == "3.*"
python_version != "3.11"
python_version ~= "3.9"
python_version in "3.9 3.10 3.11"
python_version in "3.9, 3.11"
python_version not in "2.7, 3.9"
"3.10" <= python_version
"3.9" == python_version
"3" in python_version
python_version > "3"
python_version >= "4.0"
python_version === "3.9"
python_full_version >= "3.11.2"
python_full_version < "3.11.4"
python_full_version == "3.9.*"
python_full_version <= "3.11.0a6"
python_full_version > "3.13"
python_full_version != "3.13.0rc1"
python_version >= "3.9.1"
sys_platform == "win32"
sys_platform != "win32"
sys.platform == 'linux'
os.name == 'posix'
"linux" in sys_platform
sys_platform in "linux darwin"
platform_system == "Linux" and platform_machine == "x86_64"
platform_system=="Windows" or platform_machine=="aarch64"
(python_version >= "3.9" and sys_platform == "linux") or implementation_name == "pypy"
python_version >= "3.9" and (sys_platform == "linux" or implementation_name == "pypy")
sys_platform == "linux" or sys_platform == "win32" and python_version < "3"
((os_name == "nt"))
platform_python_implementation != "PyPy"
python_implementation == "CPython"
platform.python_implementation == 'CPython'
implementation_name == "cpython"
implementation_version >= "3.10"
extra == "big-data"
extra == 'BIG.DATA'
extra == "test" and python_version >= "3.8"
extra != "test"
"test" == extra
platform_machine > "a"
platform_machine >= "x86_64"
platform_release >= "5.0"
platform_version == "#1 SMP"
platform_machine not in "x86_64 AMD64"
not_a_variable == "1"
python_version
python_version >=
python_version >= 3.9
python_version >= "3.9
python_version >= "3.9" and
python_version >= "3.9" && sys_platform == "linux"
(python_version >= "3.9"
python_version >= "3.9")
python_version not "3.9"
python_version is "3.9"
""".strip("\n").split("\n") + ["", "()", "python_version>='3.8'and os_name=='posix'"]

REQUIREMENTS = """requests
Requests
requests>=2.0
requests >= 2.0 , < 3
requests (>=2.0,<3)
requests[security]
requests [ security , Socks_5 ] >= 2 ; python_version < "3.12"
zope.interface==5.*
Foo__Bar.baz===1.2.3;python_version=='3.9'
openstackdocstheme===3.2.0
backports.zoneinfo===0.2.1;python_version=='3.8'
PyYAML!=5.4.1,>=3.12
pip @ https://example.org/pip.whl
pip @ https://example.org/pip.whl ; python_version >= "3.9"
pip@https://example.org/pip.whl
foo[]
foo>=1;extra=='x'
a
a-b_c.d
1foo
foo>=1.0 ; sys_platform == 'win32' and (python_version<'3' or extra == 'x')
-foo
foo-
_foo
foo bar
foo==
foo>=1,,<2
foo=1.0
foo[bar
foo[bar baz]
foo[bar,]
foo @
foo; python_version
foo;
foo>=1 sys_platform=='x'
foo>=1)
foo (>=1
./foo
foo>=1.*
foo==1.0 # comment
foo==1.0,
é""".split("\n") + [""]


def newest(clause, versions):
    found = [v for v in SpecifierSet(clause).filter(versions)]
    return max(found, key=Version) if found else None


def evaluate(marker):
    out = []
    for environment in ENVIRONMENTS:
        try:
            out.append(Marker(marker).evaluate(environment))
        except UndefinedComparison:
            out.append(None)
    return out


def requirement(text):
    try:
        r = Requirement(text)
    except InvalidRequirement:
        return {"text": text}
    return {"text": text, "name": canonicalize_name(r.name), "extras": sorted(canonicalize_name(e) for e in r.extras), "url": r.url or "",
            "holds": [r.marker is None or r.marker.evaluate(e) for e in ENVIRONMENTS],
            "admits": [v for v in VERSIONS if r.specifier.contains(v, prereleases=True)]}


def valid(parse, text, error):
    try:
        parse(text)
    except error:
        return False
    return True


sets = [VERSIONS, ["1.2rc1", "1.2.dev0"], ["1.0", "1.2rc1"], ["1.2", "1.2.post1", "1.2.post1.dev3"], []]
json.dump({
    "packaging": packaging.__version__,
    "versions": VERSIONS,
    "less": [[a, b] for a, b in itertools.combinations(VERSIONS, 2) if Version(a) < Version(b)],
    "equal": [[a, b] for a, b in itertools.combinations(VERSIONS, 2) if Version(a) == Version(b)],
    "specifiers": {c: [v for v in VERSIONS if SpecifierSet(c).contains(v, prereleases=True)] for c in CLAUSES},
    "newest": [{"specifier": c, "versions": s, "newest": newest(c, s)} for c in CLAUSES for s in sets if not c.startswith("===")],
    "invalid_specifiers": {c: valid(SpecifierSet, c, InvalidSpecifier) for c in INVALID_CLAUSES},
    "environments": ENVIRONMENTS,
    "markers": [{"marker": m, "holds": evaluate(m) if valid(Marker, m, InvalidMarker) else None} for m in MARKERS],
    "requirements": [requirement(r) for r in REQUIREMENTS],
}, sys.stdout, indent=None, separators=(",", ":"))
print()
