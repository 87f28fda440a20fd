package workflows_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/activities"
	"mirrorcycle/workflows"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestTypesThatCrossTemporal fixes the JSON of every type in a history: fields
// are only ever added, or running workflows would read their own past wrongly.
func TestTypesThatCrossTemporal(t *testing.T) {
	for _, v := range []any{
		workflows.CycleInput{}, workflows.CycleResult{}, workflows.MirrorInput{}, workflows.MirrorResult{}, workflows.RefreshInput{}, workflows.ServeInput{}, workflows.Told{},
		workflows.RegionResult{}, workflows.Progress{}, workflows.WheelsInput{}, workflows.WheelsResult{},
		activities.Facts{}, activities.PlatformInput{}, activities.RequireInput{}, activities.Required{}, activities.WheelPlanInput{}, activities.WheelPlanned{},
		activities.BuildInput{}, activities.Delivered{}, activities.IngestInput{}, activities.Ingested{},
		activities.Target{}, activities.Identified{}, activities.OpenInput{}, activities.Opened{}, activities.PlanInput{}, activities.Planned{},
		activities.FetchInput{}, activities.Fetched{}, activities.Progress{}, activities.CommitInput{}, activities.Committed{},
		activities.RollbackInput{}, activities.VerifyInput{}, activities.Verified{}, activities.TendInput{}, activities.Tended{},
		activities.RegionInput{}, activities.GroupInput{}, activities.Probed{}, activities.Outcome{}, activities.Reaped{}, activities.Question{}, activities.Answer{},
		activities.SurveyInput{}, activities.Surveyed{}, activities.SiteInput{}, activities.SiteWritten{}, activities.ReportInput{}, activities.Reported{}, activities.NotifyInput{}, activities.Notified{}, workflows.NotifyInput{},
	} {
		typ := reflect.TypeOf(v)
		t.Run(typ.String(), func(t *testing.T) {
			full := reflect.New(typ)
			fill(full.Elem())
			got, err := json.MarshalIndent(full.Interface(), "", " ")
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join("testdata", typ.String()+".golden")
			if *update {
				if err := os.WriteFile(name, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
				t.Errorf("%s changed: a field may be added, none renamed or removed\n%s", typ, diff)
			}
			back := reflect.New(typ)
			if err := json.Unmarshal(want, back.Interface()); err != nil {
				t.Fatal(err)
			}
			again, err := json.MarshalIndent(back.Interface(), "", " ")
			if err != nil || string(again) != string(got) {
				t.Errorf("%s does not survive its own JSON: %v\n%s", typ, err, cmp.Diff(string(got), string(again)))
			}
		})
	}
}

// fill gives every field a value, so that omitempty hides none.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(3600_000_000_000)
		if v.Kind() == reflect.Int {
			v.SetInt(1000)
		}
	case reflect.Uint8:
		v.SetUint(1)
	}
}
