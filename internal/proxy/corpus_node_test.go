package proxy

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// wire is what came on one connection to the server, and what the strict reader made of it.
type wire struct {
	requests []string // whole ones, in order
	rest     string   // what follows them
}

// llhttpConn is what Node's parser made of one connection's bytes; see testdata/llhttp.js.
type llhttpConn struct {
	Requests []struct {
		Method, Target string
		Fields         []string
		Body           []byte
		Complete       bool
	}
	Error string
}

// readAsNode gives the connections to Node's parser.
func readAsNode(t *testing.T, conns []wire) []llhttpConn {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		const why = "node is not installed; on Debian: apt-get install nodejs"
		if os.Getenv("GATEHOUSE_TEST_REQUIRE") == "all" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	var in, complaints bytes.Buffer
	for _, c := range conns {
		in.WriteString(base64.StdEncoding.EncodeToString([]byte(c.forNode())) + "\n")
	}
	cmd := exec.CommandContext(t.Context(), node, "testdata/llhttp.js")
	cmd.Stdin, cmd.Stderr = &in, &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, complaints.Bytes())
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if len(lines) != len(conns) {
		t.Fatalf("node read %d of %d connections", len(lines), len(conns))
	}
	all := make([]llhttpConn, len(conns))
	for i, l := range lines {
		if err := json.Unmarshal(l, &all[i]); err != nil {
			t.Fatalf("node's line %q: %v", l, err)
		}
	}
	return all
}

var (
	methodOf   = regexp.MustCompile(`^[^ ]+`)
	nodeKnows  = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"}
	otherToken = "PUT" // in the stead of a method that llhttp's list lacks
)

func nodeMethod(request string) string {
	if m := methodOf.FindString(request); slices.Contains(nodeKnows, m) {
		return m
	}
	return otherToken
}

// forNode is the connection's bytes with methods that llhttp knows: it refuses others, however they are framed.
func (w wire) forNode() string {
	var b strings.Builder
	for _, r := range w.requests {
		b.WriteString(nodeMethod(r) + strings.TrimPrefix(r, methodOf.FindString(r)))
	}
	return b.String() + w.rest
}

// differs tells what Node read otherwise than the strict reader, "" when nothing.
func (w wire) differs(node llhttpConn) string {
	whole := 0
	for i, got := range node.Requests {
		if !got.Complete {
			continue
		}
		if whole++; i >= len(w.requests) {
			continue
		}
		method, target, fields, body := taken(w.requests[i])
		if got.Method != method || got.Target != target || latin1(got.Fields) != latin1(fields) || string(got.Body) != body {
			return fmt.Sprintf("node read %+v, the strict reader %s %q %q %q", got, method, target, fields, body)
		}
	}
	if whole != len(w.requests) {
		return fmt.Sprintf("node read %d requests (%s), the strict reader %d", whole, node.Error, len(w.requests))
	}
	if w.rest == "" && node.Error != "" {
		return "node: " + node.Error
	}
	return ""
}

// latin1 joins fields with each character as one byte. Node tells them as characters.
func latin1(fields []string) string {
	var b strings.Builder
	for _, f := range fields {
		for _, c := range f {
			b.WriteByte(byte(c))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// taken takes a request that delimit accepted apart. Each byte of its fields becomes one character.
func taken(request string) (method, target string, fields []string, body string) {
	head, rest, _ := strings.Cut(request, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	words := strings.Split(lines[0], " ")
	chunked := false
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		value = strings.TrimLeft(value, " ")
		chunked = chunked || strings.EqualFold(name, "transfer-encoding")
		fields = append(fields, name, characters(value))
	}
	if !chunked {
		return nodeMethod(request), words[1], fields, rest
	}
	for {
		size, after, _ := strings.Cut(rest, "\r\n")
		n, err := strconv.ParseInt(size, 16, 64)
		if err != nil || n == 0 {
			return nodeMethod(request), words[1], fields, body
		}
		body, rest = body+after[:n], after[n+2:]
	}
}

func characters(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		b.WriteRune(rune(c))
	}
	return b.String()
}

// TestNodeReadsAsTheStrictReader holds the two readers of the corpus against each other where both must find fault, so that a silent
// second reader would show.
func TestNodeReadsAsTheStrictReader(t *testing.T) {
	t.Parallel()
	const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, tc := range []struct {
		wire wire
		want string // in what is told, "" for no difference
	}{
		{wire{requests: []string{get, "POST /a HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nt: a\r\n\r\n", "FOO / HTTP/1.1\r\nA: \xe9\r\n\r\n"}}, ""},
		{wire{requests: []string{get}, rest: "GET / HT"}, ""},
		{wire{requests: []string{get}, rest: get}, "node read 2 requests"},
		{wire{requests: []string{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}}, "node read 0 requests (HPE_INVALID"},
		{wire{requests: []string{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabc"}}, "node read 0 requests"},
		{wire{requests: []string{"GET / HTTP/1.1\nHost: x\r\n\r\n"}}, "node read"},
		{wire{requests: []string{"GET / HTTP/1.1\r\nHost : x\r\n\r\n"}}, "node read 0 requests"},
	} {
		got := tc.wire.differs(readAsNode(t, []wire{tc.wire})[0])
		if got == "" && tc.want != "" || !strings.Contains(got, tc.want) {
			t.Errorf("%q: told %q, want %q", tc.wire, got, tc.want)
		}
	}
}
