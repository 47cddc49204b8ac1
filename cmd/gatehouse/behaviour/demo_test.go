package behaviour

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestDemo runs `make demo ONCE=1` as the README tells newcomers to, in a network namespace of its own because its ports are fixed.
func TestDemo(t *testing.T) {
	if os.Getenv(insideVar) != "" {
		t.Skip("this process runs one script")
	}
	for _, tool := range []string{"make", "unshare", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, tool)
		}
	}
	args := []string{"--net"}
	if os.Getuid() != 0 {
		args = append(args, "--map-root-user")
	}
	cmd := exec.Command("unshare", append(args, "--", "sh", "-c", "ip link set lo up && exec make -C ../../.. demo ONCE=1")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"curl --resolve demo.test:8443:127.0.0.1 --cacert ", " requests, 0 failed", "old serial ", "new serial "} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the demo does not print %q:\n%s", want, out)
		}
	}
}
