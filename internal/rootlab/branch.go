package rootlab

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"mirrorcycle/internal/need"
)

// Branch are real source distributions among the pins of OpenStack's stable
// branch of 2018 (Pike), with the class of the failure of those that a root of
// 2023 cannot build any more: debian-12, with BranchBounds.
var Branch = map[string]string{
	"six==1.11.0": "", "PyYAML==3.12": "", "simplejson==3.13.2": "", "wrapt==1.10.11": "", "netifaces==0.10.6": "", "msgpack==0.5.1": "", "psutil==5.4.3": "",
	"greenlet==0.4.12": "compiler", "SQLAlchemy==1.2.1": "", "cffi==1.11.4": "header-missing", "oslo.config==5.2.0": "build-backend", "oslo.i18n==3.19.0": "build-backend", "oslo.utils==3.35.0": "build-backend",
	"stevedore==1.28.0": "build-backend", "debtcollector==1.19.0": "build-backend", "cliff==2.11.0": "build-backend", "reno==2.7.0": "build-backend", "python-novaclient==9.1.1": "build-backend", "keystoneauth1==3.4.0": "build-backend",
	"decorator==4.2.1": "", "docutils==0.14": "", "Paste==2.0.3": "", "Routes==2.4.1": "", "retrying==1.3.3": "", "demjson==2.2.4": "", "suds-jurko==0.6": "",
	"funcparserlib==0.3.6": "", "XStatic==1.0.1": "", "XStatic-jQuery==1.10.2.1": "", "ply==3.10": "", "pycrypto==2.6.1": "", "ujson==1.35": "", "rcssmin==1.0.6": "",
	"scrypt==0.8.0": "header-missing", "testtools==2.3.0": "build-backend", "termcolor==1.1.0": "", "zope.interface==4.4.3": "build-backend", "tenacity==4.8.0": "build-backend", "future==0.16.0": "",
	"python-pcre==0.7": "header-missing", "sysv-ipc==0.7.0": ""}

// BranchWheels are pins of it that upstream has wheels of.
var BranchWheels = []string{"requests==2.18.4", "urllib3==1.22", "idna==2.6", "certifi==2018.1.18", "chardet==3.0.4", "Jinja2==2.10", "WebOb==1.7.4",
	"Werkzeug==0.14.1", "iso8601==0.1.12", "oslo.context==2.20.0", "pbr==3.1.1"}

// BranchBounds are the build constraints: the newest setuptools that still knows
// what sources of its time ask for, and a wheel of that time.
var BranchBounds = []string{"setuptools<58", "wheel<0.34"}

// BranchSet returns a directory with Branch, BranchWheels and what their builds
// need, downloaded once by the machine's own pip.
func BranchSet(tb testing.TB) string {
	tb.Helper()
	made.Lock()
	defer made.Unlock()
	pure := []string{"--only-binary", ":all:", "--platform", "any"}
	dir, err := pipDownload("branchset", BranchBounds[0]+"\n"+BranchBounds[1]+"\n", [][]string{sourceArgs(slices.Sorted(maps.Keys(Branch))),
		append(slices.Clip(pure), BranchWheels...), append(slices.Clip(pure), "setuptools==57.5.0", "wheel==0.33.6"), append(slices.Clip(pure), "pbr==6.1.1")})
	need.That(tb, err == nil, fmt.Sprint("no real source distributions: ", err))
	return dir
}
