package differential

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// conversation is what is said to both programs, one connection a line; \n within a line is a line end.
const conversation = `show version
show cli level
show cli sockets
operator;show cli level
user;show cli level
user;operator
user;set server be/s2 weight 5
operator;set server be/s2 weight 5
operator;show env NOPE
user;show env NOPE
user;show sess
expert-mode
expert-mode on;expert-mode
experimental-mode on;experimental-mode
show env DIFFERENTIAL
show env NOPE
set timeout
set timeout cli
set timeout cli x
set timeout cli 0
set timeout cli 10
set timeout foo 10
set severity-output
set severity-output x
set severity-output number;set server be/s2 weight 257;get weight be/s2;set server be/s2 state x;show env NOPE;set maxconn frontend fe -1
set severity-output string;set server be/s2 weight 257
show backend
show servers state be
show servers state nope
show stat fe 1 -1
show stat nope 1 -1
get weight
get weight be
get weight be/s2
get weight be/nope
get weight nope/s2
set weight be/s2
set weight be/s2 7
get weight be/s2
set server
set server be
set server nope/x state ready
set server be/nope state ready
set server be/s2
set server be/s2 bogus
set server be/s2 state
set server be/s2 state x
set server be/s2 state drain
set server be/s2 state maint
set server be/s2 state ready
set server be/s2 weight
set server be/s2 weight 257
set server be/s2 weight -1%
set server be/s2 weight 50%x
set server be/s2 weight x
set server be/s2 weight 5x
set server be/s2 weight 50%
get weight be/s2
set server st/s1 weight 3
set server st/s1 weight 0%
set server st/s1 weight 100%
set server be/s2 health x
set server be/s2 health down
set server be/s2 health up
set server be/s3 health up
set server be/s2 addr
set server be/s2 addr bad
set server be/s2 addr 127.0.0.2
set server be/s2 addr 127.0.0.2 port 28299
set server be/s2 addr 127.0.0.3 port 28298
set server be/s2 addr 127.0.0.3 port +10
set server be/s2 addr 127.0.0.3 port x
set server be/s2 check-addr 127.0.0.1
set server be/s2 check-port 82
set server be/s2 fqdn
set server be/s2 fqdn x.test
set server be/s2 ssl
set server be/s2 ssl x
set server be/s4 ssl off
set server be/s4 ssl on
set server be/s2 agent x
set server be/s2 agent up
set server be/s5 agent down
set server be/s5 agent up
set server be/s2 agent-addr
set server be/s2 agent-addr 127.0.0.2
set server be/s5 agent-addr bad
set server be/s5 agent-addr 127.0.0.2
set server be/s2 agent-port 81
set server be/s5 agent-port
set server be/s5 agent-port x
set server be/s5 agent-port 81
set server be/s2 agent-send x
set server be/s5 agent-send x
enable server
enable server be
enable server be/nope
disable server be/s2
show servers state be
enable server be/s2
enable health be/s2
disable health be/s2
enable agent be/s2
disable agent be/s2
disable agent be/s5
enable agent be/s5
set maxconn
set maxconn server be
set maxconn server be/s2
set maxconn server be/s2 x
set maxconn server be/s2 10x
set maxconn server be/s2 10
set maxconn frontend
set maxconn frontend fe
set maxconn frontend fe -1
set maxconn frontend nope 1
set maxconn frontend fe 100
set maxconn global
set maxconn global 10
set maxconn global 99999999
set maxconn global 0
add server
add server be
add server be/
add server nope/x 127.0.0.1
add server be/n1
add server be/n1 127.0.0.1 wei
add server be/n1 127.0.0.1 bogus
add server be/n1 127.0.0.1:28999 weight 5 maxconn 10
add server be/n1 127.0.0.1
add server be/n'2 127.0.0.1
add server be/n2 127.0.0.1:1 track be/s2
add server be/n2 127.0.0.1:1 track be/nope
add server be/n2 127.0.0.1:1 track nope/x
add server be/n2 127.0.0.1:1 agent-check
add server be/n2 127.0.0.1:1 weight 300
add server be/n2 127.0.0.1:1 inter 0
add server st/x 127.0.0.1:1
add server fe/x 127.0.0.1:1
show servers state be
del server
del server be
del server be/nope
del server nope/x
del server be/n1
enable server be/n1;del server be/n1
disable server be/n1;del server be/n1
disable server be/s2;del server be/s2
disable server be/s1;del server be/s1
disable frontend
disable frontend nope
disable frontend fe2
disable frontend fe2
enable frontend fe2
enable frontend fe2
enable frontend be
shutdown frontend
shutdown frontend fe2
shutdown frontend fe2
enable frontend fe2
disable frontend fe2
shutdown session
shutdown session x
shutdown session 0x1
shutdown sessions
shutdown sessions server
shutdown sessions server be
shutdown sessions server be/s4
clear counters
clear counters all
clear counters x
show sess 0x1
show errors nope
show map nope
get map nope x
add map nope x y
show events nope
show events buf0
show events buf0 -x
wait
wait x
_getsocks
quit
help quit
show version;;show version
  show   version
show\ version
show version\;
'show version'
-e show version
` +
	// framing
	`show version\nshow version
prompt\nshow version\nshow cli level;show version\nquit
new ssl cert x.pem <<
` + `show ssl cert
show ssl cert nope.pem
show ssl cert *nope.pem
show ssl cert @dir@/site.pem
new ssl cert
new ssl cert @dir@/new.pem
new ssl cert @dir@/new.pem
show ssl cert @dir@/new.pem
set ssl cert
set ssl cert @dir@/nope.pem <<\n@next@\n
set ssl cert @dir@/new.pem <<\nnonsense\n
set ssl cert @dir@/new.pem <<\n@next@\n
set ssl cert @dir@/new.pem <<%%\n@next@\n%%
show ssl cert *@dir@/new.pem
abort ssl cert @dir@/nope.pem
abort ssl cert @dir@/new.pem
abort ssl cert @dir@/new.pem
commit ssl cert @dir@/nope.pem
commit ssl cert @dir@/new.pem
set ssl cert @dir@/new.pem <<\n@next@\n
commit ssl cert @dir@/new.pem
show ssl cert @dir@/new.pem
show ssl crt-list
show ssl crt-list nope
show ssl crt-list @dir@/list.txt
show ssl crt-list -n @dir@/list.txt
add ssl crt-list
add ssl crt-list nope @dir@/new.pem
add ssl crt-list @dir@/list.txt @dir@/nope.pem
add ssl crt-list @dir@/list.txt @dir@/new.pem
show ssl crt-list -n @dir@/list.txt
del ssl cert @dir@/new.pem
del ssl crt-list @dir@/list.txt @dir@/nope.pem
del ssl crt-list @dir@/list.txt @dir@/new.pem
del ssl cert @dir@/new.pem
del ssl cert @dir@/new.pem
del ssl cert @dir@/site.pem
set ssl cert @dir@/site.pem <<\n@next@\n
commit ssl cert @dir@/site.pem
show ssl cert @dir@/site.pem
`

// allowed are the answers that may differ: the command, the version that changed its answer (older ones may differ, that one and newer must
// agree with us; "" is none) and why. Where only Debian's 2.6 and 3.4 were asked, the row says 3.4.
var allowed = []struct{ command, since, why string }{
	{`show\\? *version`, "", "it is the version"},
	{`^_getsocks$`, "", "the answer is a number of sockets, on a socket that exposes them"},
	{`^show stat fe`, "", "columns of HTTP/2 and HTTP/1 modules are not shown, as surface 1.7 has it"},
	{`^abort ssl cert @dir@/nope.pem$`, "", "we have a transaction per certificate, HAProxy one per process"},
	{`^show servers state be$`, "3.4", "health of servers without checks was shown as their rise; moves by a port map were refused"},
	{`^set server be/s2 addr`, "3.4", "it said that there was no need to change the address, and refused port maps"},
	{`^(set maxconn|shutdown sessions)$`, "3.4", "unknown commands were not named"},
	{`^wait`, "3.0", "there was no wait"},
	{`^add server st/`, "3.4", "the text was another"},
	{`^help quit$`, "3.2", "prompt took no modes"},
	{`^show ssl cert \*?@dir@/`, "3.4", "there were fewer lines"},
	{`^set ssl cert$`, "3.4", "a quote was missing"},
	{`nonsense`, "3.4", "the reason was not told"},
	{`<<%%`, "3.0", "payloads had no pattern"},
}

func TestConversationsAreHAProxys(t *testing.T) {
	peer := findPeer(t)
	version := versionOf(t, peer)
	theirs, ours := converse(t, peer), converse(t, buildGatehouse(t))
	failed := 0
	for i, their := range theirs {
		our := ours[i]
		if older(version, "3.0") { // it forgot the empty line behind some answers, and sent two behind others
			their, our = strings.TrimRight(their, "\n"), strings.TrimRight(our, "\n")
		}
		if their == our || mayDiffer(lines(i), version) {
			continue
		}
		if failed++; failed <= 2*shownCases {
			t.Errorf("%q\n%s answers %q\nwe answer %q", lines(i), version, their, ours[i])
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d answers differ from those of %s", failed, len(theirs), version)
	}
}

func mayDiffer(command, version string) bool {
	for _, row := range allowed {
		if (row.since == "" || older(version, row.since)) && regexp.MustCompile(row.command).MatchString(command) {
			return true
		}
	}
	return false
}

func older(a, b string) bool {
	number := func(v string) int {
		major, minor, _ := strings.Cut(v, ".")
		x, _ := strconv.Atoi(major)
		y, _ := strconv.Atoi(minor)
		return x*1000 + y
	}
	return number(a) < number(b)
}

func lines(i int) string { return strings.Split(strings.TrimSuffix(conversation, "\n"), "\n")[i] }

// converse starts program and returns its answers to the conversation, with what depends on the run taken out.
func converse(t *testing.T, program string) []string {
	t.Helper()
	dir, err := os.MkdirTemp("", "talk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	site, next := pemsOf(t)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("site.pem", site)
	write("listed.pem", next)
	write("list.txt", dir+"/listed.pem\n")
	patience := "200ms" // 2.6 leaves a connection open when it forgot the end of an answer
	if strings.HasSuffix(program, "gatehouse") {
		patience = "10s"
	}
	cfg := strings.NewReplacer("@dir@", dir, "@patience@", patience).Replace(conversationConfig)
	if strings.HasSuffix(program, "gatehouse") {
		cfg += fmt.Sprintf("gatehouse\n    state-dir %s/state\n    persist off\n", dir)
	}
	write("haproxy.cfg", cfg)
	cmd := exec.Command(program, "-db", "-f", filepath.Join(dir, "haproxy.cfg"))
	cmd.Env = append(os.Environ(), "DIFFERENTIAL=yes")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(stopTime):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	sock := filepath.Join(dir, "admin.sock")
	waitForSocket(t, sock, &out)
	var answers []string
	for i := range strings.Count(conversation, "\n") {
		text := strings.NewReplacer(`\n`, "\n", "@dir@", dir, "@next@", strings.TrimSpace(next)).Replace(lines(i))
		answers = append(answers, settle(say(t, sock, text+"\n"), dir))
	}
	return answers
}

// settled are what no two runs have in common.
var settled = []struct{ from, to string }{
	{`0x[0-9a-f]{6,}`, "0xPTR"},
	{`(?m)^(\d+ \S+ \d+ \S+ \S+ \d+ \d+ \d+ \d+) \d+ \d+ \d+`, "$1 T C R"}, // time since the last change, and what checks have found yet
	{`\[\d\d/[A-Z][a-z]{2}/\d{4}:[\d:.]+\]`, "[DATE]"},
	{`(?m)^(Serial|notBefore|notAfter|SHA1 FingerPrint|Chain Subject|Chain Issuer|Issuer|Subject): .*`, "$1: X"},
}

func settle(text, dir string) string {
	text = strings.ReplaceAll(text, dir, "DIR")
	for _, s := range settled {
		text = regexp.MustCompile(s.from).ReplaceAllString(text, s.to)
	}
	return text
}

func waitForSocket(t *testing.T, sock string, out *strings.Builder) {
	t.Helper()
	for deadline := time.Now().Add(exchangeTime); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("unix", sock); err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not serve its socket; it said\n%s", out.String())
		}
	}
}

func say(t *testing.T, sock, text string) string {
	t.Helper()
	c, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(exchangeTime))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.UnixConn).CloseWrite()
	answer, err := io.ReadAll(io.LimitReader(c, maxMessage))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return string(answer)
}

const conversationConfig = `global
    stats socket "@dir@/admin.sock" level admin
    stats timeout @patience@
    ssl-server-verify none
    maxconn 500
    nbthread 1
defaults
    mode http
    timeout connect 2s
    timeout client 5s
    timeout server 5s
frontend fe
    bind unix@"@dir@/fe.sock"
    bind unix@"@dir@/tls.sock" ssl crt "@dir@/site.pem"
    bind unix@"@dir@/list.sock" ssl crt-list "@dir@/list.txt"
    default_backend be
frontend fe2
    bind unix@"@dir@/fe2.sock"
    default_backend be
backend be
    balance roundrobin
    server s1 127.0.0.1:28201 weight 10 check inter 1h
    server s2 127.0.0.1:28202
    server s3 127.0.0.1:28203 track s1
    server s4 127.0.0.1:28204 ssl
    server s5 127.0.0.1:28205 agent-check agent-port 28300 agent-inter 1h
backend st
    balance static-rr
    server s1 127.0.0.1:28201
`

// pemsOf makes two certificates with their keys.
func pemsOf(t *testing.T) (site, next string) {
	t.Helper()
	make := func(serial int64) string {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		leaf := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "www.example.test"}, DNSNames: []string{"www.example.test"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	}
	return make(1001), make(1002)
}
