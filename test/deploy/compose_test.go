package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/service"
	"mirrorcycle/mirrorspec"
)

func compose(t *testing.T, env types.Mapping) (*types.Project, error) {
	t.Helper()
	file := filepath.Join(lab.Root(), "docker-compose.yml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{WorkingDir: lab.Root(), Environment: env,
		ConfigFiles: []types.ConfigFile{{Filename: file, Content: data}}}, func(o *loader.Options) { o.Profiles = []string{"*"} })
}

// TestCompose reads docker-compose.yml as docker compose would, and holds what
// it says of us against the programs.
func TestCompose(t *testing.T) {
	p, err := compose(t, types.Mapping{"POSTGRES_PASSWORD": "taken-from-the-environment", "GRAFANA_PASSWORD": "this-too"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open beyond this host", s.Name, port.Published)
			}
		}
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind || strings.HasPrefix(v.Source, "/sys/") || filepath.Base(v.Source) == "mirrors.toml" {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s mounts what is not there: %v", s.Name, err)
			}
		}
		if s.Build != nil {
			ours(t, s)
		}
	}
	if s := p.Services["wheels-debian-12"]; !slices.Contains(s.SecurityOpt, "systempaths=unconfined") {
		t.Errorf("%v: what Docker hides of /proc keeps builds from starting, as TestBuildersCanStartBuilds shows", s.SecurityOpt)
	}
	for _, name := range []string{"worker-sync", "worker-ord", "worker-cycle"} {
		if s := p.Services[name]; !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 || !s.ReadOnly || s.User == "0:0" {
			t.Errorf("%s: more rights than it needs", name)
		}
	}
	builder := p.Services["wheels-debian-12"]
	for _, v := range builder.Volumes {
		if v.Target == "/srv/mirror/trees" && !v.ReadOnly {
			t.Error("a build worker may write trees")
		}
	}
	if dear := p.Services["postgresql"].Environment["POSTGRES_PASSWORD"]; dear == nil || *dear != "taken-from-the-environment" {
		t.Error("the password does not come from the environment")
	}
}

// ours holds a service of our image against what the programs know.
func ours(t *testing.T, s types.ServiceConfig) {
	t.Helper()
	dockerfile, err := os.ReadFile(filepath.Join(lab.Root(), s.Build.Dockerfile))
	if err != nil || !regexp.MustCompile(`(?m)^FROM \S+ AS `+regexp.QuoteMeta(s.Build.Target)+`$`).Match(dockerfile) {
		t.Errorf("%s: no stage %s in %s (%v)", s.Name, s.Build.Target, s.Build.Dockerfile, err)
	}
	for i, word := range s.Command {
		if i > 0 && s.Command[i-1] == "--roles" {
			if _, err := service.ParseRoles(word); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
	}
	commands := [][]string{s.Command}
	if s.HealthCheck != nil && len(s.HealthCheck.Test) > 1 {
		commands = append(commands, s.HealthCheck.Test[1:])
	}
	for _, part := range strings.Split(strings.Join(s.Entrypoint, " "), "&&") {
		_, part, _ = strings.Cut(part, "starter ")
		commands = append(commands, append([]string{"starter"}, strings.Fields(part)...))
	}
	for _, c := range commands {
		if len(c) < 2 || c[0] != "starter" {
			continue
		}
		out, err := exec.Command(filepath.Join(binaries(t), "starter"), append(slices.Clone(c[1:]), "--help")...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %s: %v %s", s.Name, strings.Join(c, " "), err, out)
		}
	}
}

var built string

// binaries builds starter and worker once.
func binaries(t *testing.T) string {
	t.Helper()
	if built == "" {
		dir := t.TempDir()
		cmd := exec.Command("go", "build", "-o", dir+"/", "./starter", "./worker")
		cmd.Dir = lab.Root()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		built = dir
	}
	return built
}

// TestComposeWantsPasswords: without them nothing starts with a default one.
func TestComposeWantsPasswords(t *testing.T) {
	for _, name := range []string{"POSTGRES_PASSWORD", "GRAFANA_PASSWORD"} {
		env := types.Mapping{"POSTGRES_PASSWORD": "a", "GRAFANA_PASSWORD": "b"}
		delete(env, name)
		if _, err := compose(t, env); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	example, err := os.ReadFile(filepath.Join(lab.Root(), "deploy/docker/env.example"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(example)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") && value != "" {
			t.Errorf("%s has a default", key)
		}
	}
}

// TestComposeSpec: the spec for compose is valid but for the keys that operators bring.
func TestComposeSpec(t *testing.T) {
	spec, err := mirrorspec.Load(filepath.Join(lab.Root(), "deploy/docker/mirrors.toml"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := compose(t, types.Mapping{"POSTGRES_PASSWORD": "a", "GRAFANA_PASSWORD": "b"})
	if err != nil {
		t.Fatal(err)
	}
	mounted := func(service, dir string) bool {
		return slices.ContainsFunc(p.Services[service].Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == dir && !v.ReadOnly })
	}
	for service, dirs := range map[string][]string{"setup": {spec.Storage.Root, spec.Storage.State, spec.Regions[0].Dir, spec.Regions[0].Site, spec.Regions[1].Dir},
		"worker-sync": {spec.Storage.Root, spec.Storage.State, spec.Regions[0].Dir, spec.Regions[0].Site}, "worker-ord": {spec.Regions[1].Dir, spec.Regions[1].Site}} {
		for _, dir := range dirs {
			if !mounted(service, dir) {
				t.Errorf("%s cannot write %s, which the spec names", service, dir)
			}
		}
	}
}

// TestExamples: what operators copy is valid.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(lab.Root(), "deploy/examples/*.toml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v %v", files, err)
	}
	for _, f := range files {
		if _, err := mirrorspec.Load(f); err != nil {
			t.Errorf("%v", err)
		}
	}
}
