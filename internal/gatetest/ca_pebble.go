package gatetest

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Pebble is a running Pebble, as tools/pebble describes itself.
type Pebble struct {
	Directory string `json:"directory"` // URL
	CAFile    string `json:"ca_file"`   // root of the directory's HTTPS
	RootFile  string `json:"root_file"` // root of the certificates it issues
}

// StartPebble builds and runs Pebble until the test ends. It resolves every name to 127.0.0.1 and validates HTTP-01 on httpPort there; env are
// more variables, as "PEBBLE_WFE_NONCEREJECT=50". Without its modules the test is skipped, or fails where GATEHOUSE_TEST_REQUIRE=all.
func StartPebble(t testing.TB, httpPort int, env ...string) Pebble {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "pebble")
	if out, err := exec.Command("go", "build", "-C", pebbleSource(t), "-o", bin, ".").CombinedOutput(); err != nil {
		without := t.Skipf
		if os.Getenv("GATEHOUSE_TEST_REQUIRE") == "all" {
			without = t.Fatalf
		}
		without("building tools/pebble (its modules come with `go mod download -C tools/pebble`): %v\n%s", err, out)
	}
	cmd := exec.Command(bin, "-http-port", strconv.Itoa(httpPort), "-dir", t.TempDir())
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hang := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	t.Cleanup(func() {
		hang.Stop()
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("pebble: %v", err)
		}
	})
	var p Pebble
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &p)
	}
	if err != nil {
		t.Fatalf("pebble said %q: %v", line, err)
	}
	return p
}

// pebbleSource finds tools/pebble above the directory the test runs in.
func pebbleSource(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		source := filepath.Join(dir, "tools", "pebble")
		if _, missing := os.Stat(filepath.Join(source, "go.mod")); missing == nil {
			return source
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		err = os.ErrNotExist
	}
	t.Fatalf("looking for tools/pebble: %v", err)
	return ""
}
