package internal

import (
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "gatehouse/internal/"

// floors is the plan of the house: what each room may import of ours. ARCHITECTURE.md shows the same table; changing it is an
// architectural decision and a commit of its own. A name ending in "/*" stands for every room below it.
var floors = map[string][]string{
	// words: values without I/O or goroutines
	"config": {}, "cert": {}, "stream": {}, "stats": {}, "event": {},
	// means
	"host":                {},
	"host/hosttest":       {"host"},
	"runtimeapi":          {},
	"sock":                {},
	"h1":                  {"stream", "sock"},
	"table":               {"stream"},
	"pattern":             {"stream"},
	"rule":                {"config", "cert", "stream", "stats", "pattern", "table"},
	"log":                 {"event", "stream", "host", "sock"},
	"storage":             {"host"},
	"storage/bolt":        {"storage", "host"},
	"storage/storagetest": {"storage"},
	// connection wing
	"listener": {words, "rule", "table", "sock", "host", "log"},
	"backend":  {words, "rule", "table", "sock", "h1", "host", "log"},
	"proxy":    {words, "rule", "table", "h1", "log", "backend"},
	// certificate wing
	"certstore": {"cert", "event", "host", "storage"},
	"acme":      {"cert", "config", "event", "host", "storage", "certstore"},
	"ocsp":      {"cert", "event", "certstore"},
	// joints
	"engine":      {words, means, "listener", "backend", "proxy", "certstore"},
	"face/socket": {words, "engine", "certstore", "ocsp", "acme", "log", "runtimeapi", "pattern", "table"},
	"app":         {"*"},
	"gatetest":    {words, means, "certstore"},
}

const (
	words = "words"
	means = "means"
)

var groups = map[string][]string{
	words: {"config", "cert", "stream", "stats", "event"},
	means: {"host", "runtimeapi", "h1", "pattern", "table", "rule", "log", "storage"},
}

// words may use, beyond the standard library, only these.
var wordsMay = []string{"golang.org/x/crypto", "golang.org/x/net/idna", "software.sslmate.com/src/go-pkcs12"}

func TestImportsPointDown(t *testing.T) {
	seen := map[string]bool{}
	for _, dir := range rooms(t) {
		may, ok := floors[dir]
		if !ok {
			t.Errorf("room %s is not in the plan: add it to floors and to ARCHITECTURE.md, in a commit that says why", dir)
			continue
		}
		seen[dir] = true
		pkg, err := build.ImportDir(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(pkg.Doc, "Package "+pkg.Name+" ") {
			t.Errorf("room %s has no package comment that says what it is for", dir)
		}
		for _, imp := range pkg.Imports {
			if room, ours := strings.CutPrefix(imp, module); ours {
				if !allowed(may, room) {
					t.Errorf("%s imports %s: that arrow points up or sideways (it may import: %s)", dir, room, strings.Join(may, " "))
				}
				continue
			}
			if slices.Contains(groups[words], dir) && strings.Contains(strings.Split(imp, "/")[0], ".") && !hasPrefix(imp, wordsMay) {
				t.Errorf("%s is on the words floor and imports %s", dir, imp)
			}
		}
	}
	for room := range floors {
		if !seen[room] {
			t.Errorf("the plan names %s, which does not exist", room)
		}
	}
}

// TestRoomsAreDescribed keeps ARCHITECTURE.md's map, and the files its walks name, and the rooms the same.
func TestRoomsAreDescribed(t *testing.T) {
	text := readFile(t, "../ARCHITECTURE.md")
	for i, name := range strings.Split(text, "`") {
		if i%2 == 1 && strings.HasSuffix(name, ".go") && !strings.HasPrefix(name, "internal/") {
			if _, err := os.Stat(name); err != nil {
				t.Errorf("ARCHITECTURE.md names a file that is not there: %v", err)
			}
		}
	}
	for _, dir := range rooms(t) {
		if !strings.Contains(text, "`"+dir+"`") {
			t.Errorf("ARCHITECTURE.md does not name the room `%s`", dir)
		}
	}
}

// TestDirectDependenciesAreExplained keeps docs/dependencies.md and the requirements of both modules the same.
func TestDirectDependenciesAreExplained(t *testing.T) {
	text := readFile(t, "../docs/dependencies.md")
	required := map[string]bool{}
	for _, file := range []string{"../go.mod", "../tools/pebble/go.mod"} {
		for line := range strings.Lines(readFile(t, file)) {
			words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
			if len(words) < 2 || strings.Contains(line, "// indirect") {
				continue
			}
			name := words[0]
			switch {
			case words[0] == "tool":
				name = strings.TrimSuffix(words[1], "/cmd/staticcheck")
			case !strings.HasPrefix(words[1], "v"):
				continue
			}
			required[name] = true
			if !strings.Contains(text, "| `"+name+"` |") {
				t.Errorf("docs/dependencies.md has no line for %s, which %s requires", name, strings.TrimPrefix(file, "../"))
			}
		}
	}
	for line := range strings.Lines(text) {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "`"); ok && strings.HasPrefix(line, "| `") && !required[name] {
			t.Errorf("docs/dependencies.md has a line for %s, which nothing requires directly", name)
		}
	}
}

func allowed(may []string, room string) bool {
	for _, m := range may {
		if m == "*" || m == room || slices.Contains(groups[m], room) {
			return true
		}
		if m == means && strings.HasPrefix(room, "storage/") {
			return false // only app names a storage engine
		}
	}
	return false
}

func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// rooms lists the folders below internal that hold Go files other than tests.
func rooms(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || path == "." {
			return err
		}
		if d.Name() == "testdata" {
			return filepath.SkipDir
		}
		files, _ := filepath.Glob(filepath.Join(path, "*.go"))
		for _, f := range files {
			if !strings.HasSuffix(f, "_test.go") {
				out = append(out, filepath.ToSlash(path))
				break
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
