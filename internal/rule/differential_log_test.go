package rule

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// loggedAlike are formats of log lines whose text does not depend on the clock.
var loggedAlike = []string{
	"  two  blanks   %f   ", "%ci:%cp %fi:%fp %f %ft %b %s %ST %CC %CS %tsc %ts %rc %sq/%bq %r", "%{+Q}r %{+Q}CC %{+Q}ci %{+X}cp %{+X}fi", "%HM %HP %HQ %HU %HV %HPO",
	"%[method] %[src]", "%hr|%hs|%hrl|%hsl", "%f %CC %f", "%f %[var(txn.none)] %f", "%f %hs %f", "%f%hs %hs %f", "%{+Q}[var(txn.none)] %{-M}[var(txn.none)]x", "%{+E}[var(txn.e)] %{+E,+Q}[var(txn.e)]",
	"%sslv %sslc %[ssl_fc_sni] %[fc_err] %[ssl_fc_err,hex]", "%si:%sp %bi:%bp", "%Th %Ti %Tw %Tc %Tr %Td", "%{+Q}b %{+Q}s %{+Q}ft", "100%% %f%%", "%ID %{+Q}ID",
	"%[unique-id] %[fe_name] %[be_name] %[srv_name]", "%[var(txn.e),hex] %[int(3)] %{+X}[int(30)] %[bool(true)]", "%{+Q}hr %{+Q}hrl", "%{+Q}o %{-Q}ci %ft %r %CC %f %b",
}

func TestLogLinesAreHAProxys(t *testing.T) {
	program := needHAProxy(t)
	dir := t.TempDir()
	format := strings.Join(loggedAlike, "|")
	writeFile(t, filepath.Join(dir, "cfg"), fmt.Sprintf(`defaults
    mode http
    timeout client 5s
    log fd@4 format raw local0
frontend f
    bind fd@3
    log-format "%s"
    http-request set-var(txn.e) bin(6122625d635c64)
    http-request capture req.hdr(x-num) len 4
    http-request capture req.hdr(x-ctl) len 40
    http-request capture req.hdr(x-none) len 4
    http-request return status 202
`, strings.ReplaceAll(format, `"`, `\"`)))
	theirs := logOf(t, program, filepath.Join(dir, "cfg"))
	s := newStream(t, strings.SplitN(wireRequest, "\r\n", 2)[0], headerLines(wireRequest)...)
	s.Conn.Src, s.Conn.Dst = theirs.src, theirs.dst
	c, d := newCompiler()
	set := c.HTTPRequest(rules(`set-var(txn.e) bin(6122625d635c64)`, "capture req.hdr(x-num) len 4", "capture req.hdr(x-ctl) len 40", "capture req.hdr(x-none) len 4"), nil)
	s.Slots = c.CaptureSlots()
	set.Run(s, newEnv())
	s.Log.Status, s.Log.Term = 202, [2]byte{'L', 'R'}
	s.Log.ReqDone = s.Log.Start
	f := c.Format(format, testPos, true)
	if d.HasErrors() {
		t.Fatalf("unexpected messages:\n%s", diagTexts(d))
	}
	ours := strings.Split(string(f.Append(nil, s, newEnv())), "|")
	for i, want := range strings.Split(theirs.body, "|") {
		if i >= len(ours) || ours[i] != want {
			t.Fatalf("part %d: we log %q, HAProxy logs %q", i, ours[min(i, len(ours)-1):], want)
		}
	}
}

// logOf runs HAProxy for one request and returns its log line as the body.
func logOf(t *testing.T, program, cfg string) response {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	l, stop := startHAProxy(t, program, cfg, writer)
	defer stop()
	r := roundTrip(t, l.Addr().String(), strings.Replace(wireRequest, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
	if err := reader.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		t.Fatalf("reading HAProxy's log: %v", err)
	}
	r.body = strings.TrimSuffix(line, "\n")
	return r
}
