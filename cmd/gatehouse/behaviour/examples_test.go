package behaviour

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

const examplesDir = "../../../examples"

// exampleVars are the environment variables that files in examples read, and the one that makes a test CA trusted.
var exampleVars = []string{"ACCOUNT_THUMBPRINT", "ACME_DIRECTORY", "SSL_CERT_FILE"}

// example NAME: copies the files of examples/NAME, as they are, into the script's folder.
func cmdExample(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: example NAME")
	}
	ts.Check(os.CopyFS(ts.Getenv("WORK"), os.DirFS(filepath.Join(examplesDir, args[0]))))
}

// envfile NAME FILE: sets an environment variable to what FILE holds.
func cmdEnvfile(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: envfile NAME FILE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// TestEveryExampleIsTried: each folder of examples has a script that loads it, and a line in the list of examples.
func TestEveryExampleIsTried(t *testing.T) {
	configs, err := filepath.Glob(examplesDir + "/*/haproxy.cfg")
	if err != nil || len(configs) == 0 {
		t.Fatalf("no examples found: %v", err)
	}
	list, err := os.ReadFile(examplesDir + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range configs {
		name := filepath.Base(filepath.Dir(config))
		script, err := os.ReadFile("testdata/example-" + name + ".txtar")
		if err != nil || !strings.Contains(string(script), "\nexample "+name+"\n") {
			t.Errorf("testdata/example-%s.txtar does not try the example %s: %v", name, name, err)
		}
		if !strings.Contains(string(list), "("+name+"/haproxy.cfg)") {
			t.Errorf("examples/README.md does not name %s", name)
		}
	}
}
