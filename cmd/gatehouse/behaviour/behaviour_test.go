// Package behaviour runs the scripts in testdata: what a user sees at the command line, on the wire and on the Runtime API,
// as text anyone can read. Every script runs in a network namespace of its own, so that configurations bind ports 80 and 443
// as they do in production. A script whose comment says "# peer: haproxy" runs a second time with Debian's haproxy in our place
// and must see the same.
package behaviour

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

const (
	insideVar  = "GATEHOUSE_BEHAVIOUR_SCRIPT" // set in the process that runs one script inside its namespace
	programVar = "GATEHOUSE_BEHAVIOUR_PROGRAM"
	builtVar   = "GATEHOUSE_BEHAVIOUR_BIN" // folder with the programs built for the scripts
)

// TestBehaviour runs every script against our binary and, where the script says so, against haproxy.
func TestBehaviour(t *testing.T) {
	if os.Getenv(insideVar) != "" {
		t.Skip("this process runs one script")
	}
	for _, tool := range []string{"unshare", "ip", "curl", "openssl", "socat", "haproxy", "certbot"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, tool)
		}
	}
	bin := build(t)
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts found: %v", err)
	}
	for _, script := range scripts {
		name := strings.TrimSuffix(filepath.Base(script), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runIn(t, script, bin, filepath.Join(bin, "gatehouse"))
		})
		if peer(t, script) {
			t.Run(name+"/haproxy", func(t *testing.T) {
				t.Parallel()
				runIn(t, script, bin, "haproxy")
			})
		}
	}
}

// TestInside is the half of TestBehaviour that runs inside the namespace.
func TestInside(t *testing.T) {
	script := os.Getenv(insideVar)
	if script == "" {
		return
	}
	testscript.Run(t, testscript.Params{
		Files:    []string{script},
		Setup:    setup,
		Cmds:     commands,
		TestWork: os.Getenv("GATEHOUSE_BEHAVIOUR_KEEP") != "",
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "gatehouse":
				return os.Getenv(programVar) != "haproxy", nil
			case "peer":
				return os.Getenv(programVar) == "haproxy", nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
	})
}

func runIn(t *testing.T, script, bin, program string) {
	t.Helper()
	abs, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--net", "--mount"}
	if os.Getuid() != 0 {
		args = append(args, "--map-root-user")
	}
	args = append(args, "--", "sh", "-c", `ip link set lo up && exec "$0" -test.run '^TestInside$' -test.v -test.timeout 170s`, os.Args[0])
	cmd := exec.Command("unshare", args...)
	cmd.Env = append(os.Environ(), insideVar+"="+abs, programVar+"="+program, builtVar+"="+bin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if testing.Verbose() {
		t.Logf("%s", out)
	}
}

// build compiles the programs that the scripts start.
func build(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	for dir, args := range map[string][]string{
		".":                     {"build", "-o", filepath.Join(bin, "gatehouse"), "gatehouse/cmd/gatehouse"},
		"../../../tools/pebble": {"build", "-o", filepath.Join(bin, "pebble"), "."},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return bin
}

func peer(t *testing.T, script string) bool {
	t.Helper()
	f, err := os.Open(script)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan() && strings.HasPrefix(s.Text(), "#"); {
		if s.Text() == "# peer: haproxy" {
			return true
		}
	}
	return false
}

func missing(t *testing.T, tool string) {
	t.Helper()
	if os.Getenv("GATEHOUSE_TEST_REQUIRE") == "all" {
		t.Fatalf("%s is not installed; on Debian: apt-get install %s", tool, tool)
	}
	t.Skipf("%s is not installed; on Debian: apt-get install %s", tool, tool)
}
