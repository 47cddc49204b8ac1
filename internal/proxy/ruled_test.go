package proxy

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"gatehouse/internal/config"
	"gatehouse/internal/log"
)

// ruled is a usual frontend: five ACLs, one of them with 10,000 patterns from a file, ten rules and a log line of its own (the figure
// `rules` of bench measures the same beside haproxy).
func ruled(t testing.TB) func(*setup) {
	var list strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&list, "/blocked/%d/page.html\n", i*7919)
	}
	acls := []config.ACL{}
	for _, line := range []string{"blocked path -f paths.lst", "is_api path_beg /api/ /v1/ /v2/", "is_get method GET HEAD", "internal src 10.0.0.0/8 192.168.0.0/16",
		"known_host hdr(host),lower www.example.com example.com"} {
		w := strings.Fields(line)
		acls = append(acls, config.ACL{Name: w[0], Words: w[1:]})
	}
	return func(o *setup) {
		c, request := rules(t, "deny if blocked", "set-var(txn.host) req.hdr(host),lower", "set-var(txn.kind) str(api) if is_api", "set-header x-forwarded-proto http",
			"set-header x-host %[var(txn.host)]", "del-header x-internal unless internal", "redirect location /login if { path /secret } !internal",
			`replace-path ^/old/(.*) /new/\1 if { path_beg /old/ }`, "deny deny_status 405 unless is_get or is_api")
		c.ReadFile = func(string) ([]byte, error) { return []byte(list.String()), nil }
		known := c.ACLs(acls)
		o.f.HTTPRequest = c.HTTPRequest(request, known)
		_, response := rules(t, "set-header strict-transport-security max-age=31536000 if known_host")
		o.f.HTTPResponse = c.HTTPResponse(response, known)
		o.format = `%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %ts %{+Q}r %[var(txn.kind)] %[var(txn.host)]`
	}
}

// ruledClient connects to a ruled edge whose log goes to a target that nobody empties: its queue takes the lines until it is full.
func ruledClient(t testing.TB) (net.Conn, []byte, func()) {
	c, stop := clientOf(t, ruled(t), func(f *Frontend) {
		target, err := log.New(log.Options{Network: "writer", Writer: io.Discard, Queue: 1 << 16})
		if err != nil {
			t.Fatal(err)
		}
		f.o.Log.Logger = &log.Logger{Targets: []*log.Target{target}}
	})
	return c, make([]byte, len(okOut)+len("strict-transport-security: max-age=31536000\r\n")), stop
}

func TestRuledRequestsDoNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("pools drop what they are given under -race")
	}
	c, out, stop := ruledClient(t)
	defer stop()
	for range 1000 { // until the log's queue is full and has grown as far as it will
		if err := ask(c, out); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(string(out), "strict-transport-security") {
		t.Fatalf("answer %q", out)
	}
	if n := testing.AllocsPerRun(500, func() {
		if err := ask(c, out); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("allocations per request: %v, want at most 2", n)
	}
}

func BenchmarkRuledRequest(b *testing.B) {
	c, out, stop := ruledClient(b)
	defer stop()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := ask(c, out); err != nil {
			b.Fatal(err)
		}
	}
}
