package engine

import (
	"strings"
	"testing"
)

// TestWithoutReusePortAnAddressBelongsToOneProcess is -dR: the second process is told, where SO_REUSEPORT would let both listen.
func TestWithoutReusePortAnAddressBelongsToOneProcess(t *testing.T) {
	text := "defaults\n mode http\n timeout client 1s\n timeout connect 1s\n timeout server 1s\nfrontend f\n bind " + freePort(t) + "\n"
	one, two := newEdge(t, false), newEdge(t, false)
	one.Engine.o.Limits.NoReusePort, two.Engine.o.Limits.NoReusePort = true, true
	one.mustApply(text)
	one.run()
	if diags := two.load(text); diags.HasErrors() {
		t.Fatal(diags)
	}
	if diags := two.Apply(t.Context()); !diags.HasErrors() || !strings.Contains(diags[0].Text, "Address already in use") {
		t.Errorf("the second process: %v", diags)
	}
}

func TestDefaultMaxConnLeavesDescriptorsForTheRest(t *testing.T) {
	for files, want := range map[int]int{0: mostConns, 1000: 468, 1 << 20: mostConns, 10: 1} {
		if got := connsFor(files); got != want {
			t.Errorf("%d descriptors: %d connections, want %d", files, got, want)
		}
	}
}
