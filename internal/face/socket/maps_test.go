package socket_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/config"
	"gatehouse/internal/face/socket"
	"gatehouse/internal/pattern"
	"gatehouse/internal/rule"
)

// mapsConfig is testdata/maps/transcript.cfg with its directory.
func mapsConfig(t *testing.T, dir string) string {
	t.Helper()
	cfg, err := os.ReadFile("testdata/maps/transcript.cfg")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(cfg), "{dir}", dir)
}

// mapsOf compiles the frontend of the configuration and returns its ACLs and maps.
func mapsOf(t *testing.T, dir string) *pattern.Refs {
	t.Helper()
	file := filepath.Join(dir, "h.cfg")
	cfg, diags := config.Parse([]config.Source{{Name: file, Data: []byte(mapsConfig(t, dir))}}, config.ParseOptions{})
	if diags.HasErrors() || len(cfg.Proxies) != 1 {
		t.Fatalf("%d proxies, %v", len(cfg.Proxies), diags)
	}
	p := cfg.Proxies[0]
	refs := pattern.NewRefs(os.ReadFile)
	c := &rule.Compiler{Diags: &diags, Patterns: refs, Kind: p.Kind, Proxy: p.Name, HTTP: true}
	c.HTTPRequest(p.HTTPRequest, c.ACLs(p.ACLs))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	refs.Finish(cfg.Files)
	return refs
}

func ourMaps(t *testing.T, dir, level string) string {
	refs := mapsOf(t, dir)
	return serveUnix(t, newWorkerWith(t, socket.Options{Process: newFakeProcess(), Patterns: func() *pattern.Refs { return refs }}), dir, level)
}

func theirMaps(t *testing.T, bin, level string) (string, string) {
	dir := startHAProxyWith(t, bin, mapsConfig(t, "{dir}"), "operator.sock", "-db")
	return dir, filepath.Join(dir, level+".sock")
}

// TestEntriesAreDeletedByTheirNumber takes the number that show map prints.
func TestEntriesAreDeletedByTheirNumber(t *testing.T) {
	const file = "testdata/maps/paths.map"
	sock := ourMaps(t, t.TempDir(), "admin")
	answer := exchange(t, "unix", sock, "show map "+file+"\n")
	m := regexp.MustCompile(`(?m)^(0x[0-9a-f]+) /ab vab$`).FindStringSubmatch(answer)
	if m == nil {
		t.Fatalf("show map says\n%s", answer)
	}
	got := exchange(t, "unix", sock, "set map "+file+" #"+m[1]+" new; get map "+file+" /ab; del map "+file+" #"+m[1]+"; del map "+file+" #"+m[1]+"; get map "+file+" /ab\n")
	for _, want := range []string{`type=str, case=sensitive, found=yes, idx=tree, key="/ab", value="new", type="str"`, "Key not found.", "found=no"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}
