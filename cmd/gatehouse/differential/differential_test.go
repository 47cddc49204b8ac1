// Package differential gives hundreds of generated configurations and requests to a real haproxy and to us, and compares what each
// of them forwards, answers and logs. What may differ stands in the table of differences_test.go with the version and the
// reason; anything else is a failure.
//
// The generator is seeded, so a failure comes back. GATEHOUSE_DIFFERENTIAL_SEED and GATEHOUSE_DIFFERENTIAL_CASES try others, and
// GATEHOUSE_DIFFERENTIAL_HAPROXY names another haproxy than the one on the PATH.
package differential

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	defaultSeed  = 20260
	defaultCases = 420
	shownCases   = 10 // failures printed in full
)

func TestForwardsAnswersAndLogsAsHAProxy(t *testing.T) {
	peer := findPeer(t)
	version := versionOf(t, peer)
	g := newGenerator(uint64(setting(t, "GATEHOUSE_DIFFERENTIAL_SEED", defaultSeed)))
	cases := make([]*scenario, setting(t, "GATEHOUSE_DIFFERENTIAL_CASES", defaultCases))
	for i := range cases {
		cases[i] = g.scenario(i)
	}
	theirs := play(t, peer, cases)
	ours := play(t, buildGatehouse(t), cases)
	failed := 0
	for i, c := range cases {
		diff := compare(version, c.config(), theirs[i], ours[i])
		if diff == "" {
			continue
		}
		if failed++; failed <= shownCases {
			t.Errorf("case %d\n%s\n%s", i, c.config(), diff)
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d configurations differ from %s", failed, len(cases), version)
	}
}

func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func findPeer(t *testing.T) string {
	t.Helper()
	if p := os.Getenv("GATEHOUSE_DIFFERENTIAL_HAPROXY"); p != "" {
		return p
	}
	p, err := exec.LookPath("haproxy")
	if err != nil {
		if os.Getenv("GATEHOUSE_TEST_REQUIRE") == "all" {
			t.Fatal("haproxy is not installed; on Debian: apt-get install haproxy")
		}
		t.Skip("haproxy is not installed; on Debian: apt-get install haproxy")
	}
	return p
}

// versionOf returns the first two numbers of a haproxy's version, as "2.6".
func versionOf(t *testing.T, program string) string {
	t.Helper()
	out, err := exec.Command(program, "-v").Output()
	var major, minor int
	if err == nil {
		_, err = fmt.Sscanf(string(out), "HAProxy version %d.%d", &major, &minor)
	}
	if err != nil {
		t.Fatalf("%s -v: %v\n%s", program, err, out)
	}
	return fmt.Sprintf("%d.%d", major, minor)
}

func buildGatehouse(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "gatehouse")
	cmd := exec.Command("go", "build", "-o", bin, "gatehouse/cmd/gatehouse")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// scenario is one configuration and the requests sent to it.
type scenario struct {
	name     string   // of its frontend; every section's name starts with it
	bind     string   // options of its bind line
	tls      bool     // its clients speak TLS
	top      []string // sections that stand before the frontend
	front    []string
	backs    map[string][]string // by name
	names    []string            // of backs, in order
	requests []request
}

// request is what one connection brings: one request, or several.
type request struct {
	proxy string // a PROXY header before everything else
	raw   string
	sent  []sent
}

// config is the scenario's part of the configuration, with @fd and @server in the places of sockets.
func (s *scenario) config() string {
	var b strings.Builder
	for _, l := range s.top {
		b.WriteString(l + "\n")
	}
	fmt.Fprintf(&b, "frontend %s\n    bind fd@@fd%s\n", s.name, s.bind)
	for _, l := range s.front {
		b.WriteString("    " + l + "\n")
	}
	for _, n := range s.names {
		fmt.Fprintf(&b, "backend %s\n", n)
		for _, l := range s.backs[n] {
			b.WriteString("    " + l + "\n")
		}
	}
	return b.String()
}
