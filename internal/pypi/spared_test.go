package pypi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"mirrorcycle/internal/pypi"
)

// TestNewestVersionThatCannotBeHadLeavesTheOld: the version that pushes the old
// one off the page must be there first.
func TestNewestVersionThatCannotBeHadLeavesTheOld(t *testing.T) {
	fail := func(s *stage) {
		s.setAlter(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "-2-py3") {
				return false
			}
			w.WriteHeader(503)
			return true
		})
	}
	t.Run("keep-latest", func(t *testing.T) {
		s := newStage(t, func(c *pypi.Config) { c.KeepLatest = 1 })
		one := s.wheel("alpha", "1")
		s.set("alpha", one)
		s.mustCycle(t)
		s.set("alpha", one, s.wheel("alpha", "2"))
		fail(s)
		r := s.cycle()
		if got := s.links("alpha"); len(got) != 1 {
			t.Errorf("alpha offers %v after %+v", got, r)
		}
		s.setAlter(nil)
		s.mustCycle(t)
		if got := s.links("alpha"); len(got) != 1 || !strings.HasPrefix(got[0], "alpha-2") {
			t.Error("it did not heal:", got)
		}
	})
}

// TestMissingVersionsHoldBackNoOther: a second-level mirror lists many files that
// it lost. Its newest version is there, and is mirrored; the old ones stay.
func TestMissingVersionsHoldBackNoOther(t *testing.T) {
	s := newStage(t, func(c *pypi.Config) { c.KeepLatest = 2 })
	all := []file{s.wheel("alpha", "1"), s.wheel("alpha", "2")}
	s.set("alpha", all...)
	s.mustCycle(t)
	for v := 3; v <= 14; v++ {
		all = append(all, s.wheel("alpha", fmt.Sprint(v)))
	}
	s.set("alpha", append(all, s.wheel("alpha", "15"))...)
	s.setAlter(func(w http.ResponseWriter, r *http.Request) bool {
		_, rest, ok := strings.Cut(r.URL.Path, "/alpha-")
		if v, _, _ := strings.Cut(rest, "-"); !ok || v == "1" || v == "2" || v == "15" {
			return false
		}
		w.WriteHeader(404)
		return true
	})
	for range 12 {
		r := s.cycle()
		got := fmt.Sprint(s.links("alpha"))
		for _, v := range []string{"2", "15"} {
			if !strings.Contains(got, "alpha-"+v+"-") {
				t.Fatalf("alpha offers %v after %+v", got, r)
			}
		}
	}
}

// TestRequiredVersionThatCannotBeHadLeavesTheOld: METADATA comes by the digest
// that the page gives (PEP 714), the wheel itself does not.
func TestRequiredVersionThatCannotBeHadLeavesTheOld(t *testing.T) {
	w := newWish(t, "alpha\n", nil)
	one, two := w.wheel("alpha", "1"), w.wheel("alpha", "2")
	w.set("alpha", one)
	w.mustCycle(t)
	w.set("alpha", one, two)
	info := "Metadata-Version: 2.1\nName: alpha\nVersion: 2\n"
	sum := sha256.Sum256([]byte(info))
	w.setAlter(func(rw http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/simple/alpha/":
			body := w.projects["alpha"].body("alpha")
			data, _ := json.Marshal(body)
			text := strings.Replace(string(data), `"core-metadata":true}]`, fmt.Sprintf(`"core-metadata":{"sha256":"%s"}}]`, hex.EncodeToString(sum[:])), 1)
			rw.Header().Set("Content-Type", mediaJSON)
			_, _ = rw.Write([]byte(text))
		case strings.HasSuffix(r.URL.Path, "alpha-2-py3-none-any.whl.metadata"):
			_, _ = rw.Write([]byte(info))
		case strings.HasSuffix(r.URL.Path, "alpha-2-py3-none-any.whl"):
			rw.WriteHeader(503)
		default:
			return false
		}
		return true
	})
	r := w.cycle()
	if got := w.links("alpha"); len(got) == 0 {
		t.Errorf("alpha offers %v after %+v", got, r)
	}
}

// TestYankedNewestCountsNot: KeepLatest leaves something that pip may choose.
func TestYankedNewestCountsNot(t *testing.T) {
	s := newStage(t, func(c *pypi.Config) { c.KeepLatest = 1 })
	two := s.wheel("alpha", "2")
	two.Yanked = true
	s.set("alpha", s.wheel("alpha", "1"), two)
	s.mustCycle(t)
	if got := s.links("alpha"); len(got) != 2 {
		t.Error(got)
	}
}
