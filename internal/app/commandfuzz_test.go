package app

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// TestNoSequenceOfRuntimeCommandsDepartsFromTheModel plays random commands over the stats socket of a whole process: over several connections,
// broken off, with broken and oversized payloads, with reloads and kills in between. After each few commands everything that can be asked is compared
// with the model; at the end also the files, `store check`, goroutines and open files.
func TestNoSequenceOfRuntimeCommandsDepartsFromTheModel(t *testing.T) {
	for seed := range uint64(12) {
		random := seeded(seed)
		tape := make([]byte, 260)
		for i := range tape {
			tape[i] = byte(random.Uint32())
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) { playCommands(t, tape) })
	}
}

// FuzzRuntimeCommands is the same for any sequence.
func FuzzRuntimeCommands(f *testing.F) {
	for seed := range uint64(8) {
		random := seeded(seed + 100)
		tape := make([]byte, 40<<(seed%3))
		for i := range tape {
			tape[i] = byte(random.Uint32())
		}
		f.Add(tape)
	}
	f.Fuzz(func(t *testing.T, tape []byte) { playCommands(t, tape[:min(len(tape), 400)]) })
}

// maxPayload is commandConfig's tune.cli.max-payload-size.
const maxPayload = 32768

const commandConfig = `global
    stats socket unix@DIR/admin.sock level admin
    tune.cli.max-payload-size 32768
gatehouse
    state-dir DIR/state
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend www
    bind unix@DIR/tls.sock ssl strict-sni crt DIR/certs/
`

// commandPlay is one sequence: the process, the model, and what happened so far.
type commandPlay struct {
	*testing.T
	tape    []byte
	dir     string
	m       *commandModel
	running *boxed
	stop    func(*testing.T)
	talks   [2]*conversation // connections that stay
	story   []string
}

func playCommands(t *testing.T, tape []byte) {
	goroutines := runtime.NumGoroutine()
	files := filesOpen(t)
	dir, err := os.MkdirTemp("", "play") // t's own has a # in fuzz tests, which begins a comment in a configuration
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &commandPlay{T: t, tape: tape, dir: dir, m: newCommandModel(t, dir)}
	if err := os.Mkdir(dir+"/certs", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range p.m.nameList()[:2] {
		n := p.m.names[name]
		n.publish(1)
		n.listed = true
		if err := os.WriteFile(name, []byte(n.certs[1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.ReplaceAll(commandConfig, "DIR", dir)
	if err := os.WriteFile(dir+"/haproxy.cfg", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.start(text)
	for i := 0; len(p.tape) > 0 && !t.Failed(); i++ {
		p.step()
		if i%5 == 4 {
			p.compare()
		}
	}
	p.compare()
	p.end()
	if t.Failed() {
		t.Logf("the story:\n%s", strings.Join(p.story, "\n"))
		return
	}
	p.checkDisk()
	for end := time.Now().Add(startTime); ; runtime.Gosched() {
		g, f := runtime.NumGoroutine(), filesOpen(t)
		if g <= goroutines && f <= files {
			break
		}
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines and %d open files, before %d and %d\n%s", g, f, goroutines, files, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func filesOpen(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func (p *commandPlay) start(text string) {
	p.Helper()
	o, err := ParseArgs([]string{"-f", "F"})
	if err != nil {
		p.Fatal(err)
	}
	r := &boxed{}
	r.process = process{o: o, print: NewPrinter(io.Discard), newEngine: NewHouse, sources: []config.Source{{Name: "F", Data: []byte(text)}}}
	env := environment(o, r.sources, false)
	r.engine, err = NewHouse(WorkerOptions{Host: host.Direct{}, Flags: o.Flags, Env: env, Parse: parseOptions(o, env), Notify: r.print.Print,
		StartupLogs: r.print.Attempt, StateDir: func(*config.Config) string { return filepath.Join(p.dir, "state") }})
	if err != nil {
		p.Fatal(err)
	}
	p.running = r
	if !p.load() {
		p.Fatalf("the process does not start: %s", r.said())
	}
	p.stop = r.run(p.T)
}

func (p *commandPlay) load() bool {
	_, _, ok := p.running.process.load(p.Context(), p.running.engine, host.Direct{}, p.running.sources)
	return ok && p.running.apply(p.T)
}

func (p *commandPlay) end() {
	for i, c := range p.talks {
		if c != nil {
			c.Close()
			p.talks[i] = nil
		}
	}
	p.stop(p.T)
}

// next is the tape's next choice among n.
func (p *commandPlay) next(n int) int {
	if len(p.tape) == 0 {
		return 0
	}
	b := p.tape[0]
	p.tape = p.tape[1:]
	return int(b) % n
}

func (p *commandPlay) tell(format string, args ...any) {
	p.story = append(p.story, strings.ReplaceAll(fmt.Sprintf(format, args...), p.dir, "DIR"))
}

// step is one command, or what befalls the process.
func (p *commandPlay) step() {
	kind := p.next(32)
	names := p.m.nameList()
	name := names[p.next(len(names))]
	n, t := p.m.names[name], []string{"T1", "T2"}[p.next(2)]
	switch kind {
	case 0:
		p.tell("reload")
		p.running.print.NewAttempt()
		if !p.load() {
			p.Fatalf("a reload fails: %s\n%s", p.running.said(), strings.Join(p.story, "\n"))
		}
		p.m.reload()
	case 1, 2:
		p.expect(p.m.newCert(name), "new ssl cert "+name, "")
	case 3, 4, 5, 6, 7:
		v := 1 + p.next(versions)
		p.expect(p.m.set(name, v, false), "set ssl cert "+name, n.certs[v])
	case 8:
		v := 1 + p.next(versions)
		p.expect(p.m.set(name, v, true), "set ssl cert "+name+".key", n.keys[v])
	case 9, 10, 11, 12:
		p.expect(p.m.commit(name), "commit ssl cert "+name, "")
	case 13:
		p.expect(p.m.abort(name), "abort ssl cert "+name, "")
	case 14:
		p.expect(p.m.del(name), "del ssl cert "+name, "")
	case 15, 16:
		p.expect(p.m.line(name, true), "add ssl crt-list "+p.dir+"/certs "+name, "")
	case 17, 18:
		p.expect(p.m.line(name, false), "del ssl crt-list "+p.dir+"/certs "+name, "")
	case 19:
		p.expect(p.m.begin(t), "begin ssl transaction "+t, "")
	case 20:
		p.expect(p.m.newIn(t, name), "new ssl cert "+name+" txn "+t, "")
	case 21, 22:
		v := 1 + p.next(versions)
		p.expect(p.m.setIn(t, name, v, false), "set ssl cert "+name+" txn "+t, n.certs[v])
	case 23:
		p.expect(p.m.commitAll(t), "commit ssl transaction "+t, "")
	case 24:
		p.expect(p.m.abortAll(t), "abort ssl transaction "+t, "")
	case 25, 26:
		p.trust()
	case 27:
		p.rollback(name)
	case 28:
		p.brokenOff(name)
	case 29, 30:
		p.brokenPayload(name)
	case 31:
		p.nonsense(name)
	}
}

func (p *commandPlay) trust() {
	file := []string{"ca-loose", "crl-loose"}[p.next(2)]
	verb, v := []string{"new", "set", "set", "commit", "abort", "del"}[p.next(6)], 1+p.next(versions)
	n, payload := p.m.names["loose"], ""
	if verb == "set" {
		if payload = n.leafs[v]; file == "crl-loose" {
			payload = crlOf(p.T, n.certs[v], int64(v))
		}
	}
	p.expect(p.m.trust(verb, file, v), verb+" ssl "+p.m.files[file].kind+" "+file, payload)
}

// rollback can bring back whatever was served before under the name, or be refused; the model learns which.
func (p *commandPlay) rollback(name string) {
	n := p.m.names[name]
	answer := p.ask("rollback ssl cert "+name, "")
	switch {
	case contains(answer, "\nSuccess!") && n.exists:
		for v := range n.was {
			if strings.Contains(p.ask("dump ssl cert "+name, ""), n.leafs[v]) {
				n.publish(v)
				return
			}
		}
		p.Errorf("after a rollback, %s holds what was never committed", name)
	case contains(answer, "\nSuccess!"):
		p.Errorf("%s was rolled back without being there", name)
	case !strings.Contains(answer, "Can't roll back") && !strings.Contains(answer, "Can't display") && n.exists:
		p.Errorf("rollback of %s is answered %q", name, answer)
	}
}

// brokenOff is a client that goes away in the middle of a payload: nothing is done.
func (p *commandPlay) brokenOff(name string) {
	text := "set ssl cert " + name + " <<\n" + p.m.names[name].certs[1+p.next(versions)]
	text = text[:len(text)*(1+p.next(200))/201]
	p.tell("broken off after %d bytes: set ssl cert %s", len(text), name)
	c, err := net.Dial("unix", p.dir+"/admin.sock")
	if err != nil {
		p.Fatal(err)
	}
	_, _ = io.WriteString(c, text)
	c.Close()
}

// brokenPayload is a set that must change nothing.
func (p *commandPlay) brokenPayload(name string) {
	good := p.m.names[name].certs[1]
	payloads := []string{"", "garbage\n", good[:len(good)/3], strings.Replace(good, "M", "!", 3), strings.Repeat(good, 1+40000/len(good)),
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", strings.Repeat("-----BEGIN CERTIFICATE-----\n", 50), strings.Repeat("\x00", 100) + "\n"}
	which := p.next(len(payloads))
	suffix := []string{"", ".ocsp", ".issuer", ".sctl", ".key"}[p.next(5)]
	if which == 3 || which == 4 {
		suffix = ""
	}
	answer := p.ask("set ssl cert "+name+suffix, payloads[which])
	if strings.Contains(answer, "Transaction created") || strings.Contains(answer, "Transaction updated") {
		p.Errorf("payload %d for %s%s is taken: %q", which, name, suffix, answer)
	}
}

// nonsense are lines that no command is in, and names that are none.
func (p *commandPlay) nonsense(name string) {
	lines := []string{"-e set ssl cert " + name, "set ssl cert", "commit ssl cert", "new ssl cert", "commit ssl cert *" + name, "del ssl cert *" + name, "abort ssl cert ../" + name,
		"add ssl crt-list " + p.dir + "/none " + name, "del ssl crt-list " + p.dir + "/certs " + name + ":99", "commit ssl transaction", "begin ssl transaction a/b",
		"rollback ssl cert " + name + " 4000000000", "show ssl cert nobody", "dump ssl cert nobody", "set ssl cert " + name + " txn none <<\n", "set ssl ca-file nobody <<\nx\n"}
	line := lines[p.next(len(lines))]
	if answer := p.ask(line, ""); contains(answer, "\nSuccess!") || strings.Contains(answer, "Transaction created") || strings.Contains(answer, "begun") || strings.Contains(answer, "deleted") {
		p.Errorf("%q is answered %q", line, answer)
	}
}

func (p *commandPlay) expect(want, line, payload string) {
	if got := p.ask(line, payload); !contains(got, want) {
		p.Errorf("%q is answered %q, want %q", line, got, want)
	}
}

// ask sends a command on a connection of its own or on one of those that stay.
func (p *commandPlay) ask(line, payload string) string {
	if payload != "" {
		p.tell("%s << %d bytes", line, len(payload))
		line += " <<\n" + strings.TrimSuffix(payload, "\n") + "\n\n"
	} else {
		p.tell("%s", line)
		line += "\n"
	}
	way := 0
	if len(p.tape) > 0 && len(payload) <= maxPayload { // a refused one ends the connection, once the client ends it
		way = int(p.tape[0]) % 4 // does not use the tape up
	}
	var answer string
	var err error
	switch way {
	case 0, 1:
		answer, err = once(p.dir+"/admin.sock", line)
	default:
		c := p.talks[way-2]
		if c == nil {
			if c, err = converse(p.dir + "/admin.sock"); err != nil {
				p.Fatal(err)
			}
			p.talks[way-2] = c
		}
		if answer, err = c.ask(line); err == io.EOF {
			err = nil // ended; the answer is what came
			c.Close()
			p.talks[way-2] = nil
		}
	}
	if err != nil {
		p.Fatalf("%.100q: %v\n%s", line, err, strings.Join(p.story, "\n"))
	}
	return answer
}

// quiet asks without leaving a trace in the story.
func (p *commandPlay) quiet(line string) string {
	answer, err := once(p.dir+"/admin.sock", line+"\n")
	if err != nil {
		p.Fatalf("%q: %v", line, err)
	}
	return answer
}

func once(path, text string) (string, error) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(startTime))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.WriteString(c, text)
		_ = c.(*net.UnixConn).CloseWrite()
	}()
	answer, err := io.ReadAll(c)
	if len(answer) > 0 {
		err = nil // refused before all of it was read
	}
	c.Close()
	<-done
	return string(answer), err
}

// conversation is an interactive connection.
type conversation struct{ net.Conn }

func converse(path string) (*conversation, error) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	v := &conversation{c}
	_, err = v.ask("prompt\n")
	return v, err
}

// ask returns what comes before the next prompt. io.EOF says that the connection was ended, after what is returned.
func (c *conversation) ask(text string) (string, error) {
	_ = c.SetDeadline(time.Now().Add(startTime))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(c, text)
	}()
	defer func() { <-sent }()
	var answer []byte
	buf := make([]byte, 32<<10)
	for {
		n, err := c.Read(buf)
		answer = append(answer, buf[:n]...)
		if body, ok := strings.CutSuffix(string(answer), "\n> "); ok && !strings.HasSuffix(body, "\n+ ") {
			return body, nil
		}
		if err != nil {
			c.Close()
			return string(answer), io.EOF
		}
	}
}

// compare asks for everything and holds it against the model.
func (p *commandPlay) compare() {
	p.Helper()
	all := strings.Split(p.quiet("show ssl cert"), "\n")
	inList := strings.Split(p.quiet("show ssl crt-list "+p.dir+"/certs"), "\n")
	for name, n := range p.m.names {
		pem := p.quiet("dump ssl cert " + name)
		if got, want := slices.Contains(all, name), n.exists; got != want {
			p.Errorf("show ssl cert lists %s: %v, want %v", name, got, want)
		}
		if got, want := slices.Contains(inList, name), n.listed; got != want {
			p.Errorf("the list of the directory has %s: %v, want %v", name, got, want)
		}
		if n.committed > 0 != strings.Contains(pem, "PRIVATE KEY") || !strings.Contains(pem, n.leafs[n.committed]) || !strings.Contains(pem, n.keys[n.committed]) {
			p.Errorf("%s does not hold certificate %d:\n%s", name, n.committed, pem)
		}
		pending := p.quiet("dump ssl cert *" + name)
		held := p.m.held(name)
		if held.open() != strings.Contains(pending, "BEGIN") || !strings.Contains(pending, n.leafs[held.cert]) || !strings.Contains(pending, n.keys[held.key]) {
			p.Errorf("the transaction of %s does not hold %v:\n%s", name, held, pending)
		}
		want := 0
		if n.listed {
			want = n.committed
		}
		if got := p.shake(n); got != want {
			p.Errorf("a handshake for %s gets certificate %d, want %d", n.host, got, want)
		}
	}
	groups := p.quiet("show ssl transaction")
	for _, t := range []string{"T1", "T2"} {
		if got, want := strings.Contains(groups, "\n"+t+" "), p.m.open[t] != nil; got != want {
			p.Errorf("transaction %s is open: %v, want %v", t, got, want)
		}
		if members := p.m.open[t]; members != nil && !strings.Contains(groups, fmt.Sprintf("\n%s %d ", t, len(members))) {
			p.Errorf("transaction %s does not have %d members: %s", t, len(members), groups)
		}
	}
	for name, f := range p.m.files {
		list := p.quiet("show ssl " + f.kind)
		if got := strings.Contains(list, "\n"+name); got != f.exists {
			p.Errorf("%s is there: %v, want %v:\n%s", name, got, f.exists, list)
		}
		if shown := p.quiet("show ssl " + f.kind + " " + name); f.exists && strings.Contains(shown, "#1:") != (f.committed > 0) {
			p.Errorf("%s with version %d shows as %s", name, f.committed, shown)
		}
	}
	if p.Failed() {
		p.Fatalf("the story:\n%s", strings.Join(p.story, "\n"))
	}
}

// shake returns which of a name's certificates a handshake gets, 0 when it is refused.
func (p *commandPlay) shake(n *nameModel) int {
	c, err := net.Dial("unix", p.dir+"/tls.sock")
	if err != nil {
		p.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(startTime))
	tc := tls.Client(c, &tls.Config{ServerName: n.host, InsecureSkipVerify: true}) // which certificate, not whether it is trusted
	if tc.Handshake() != nil {
		return 0
	}
	return int(tc.ConnectionState().PeerCertificates[0].SerialNumber.Int64() % 10)
}

// checkDisk looks at what a start would find, and starts.
func (p *commandPlay) checkDisk() {
	p.Helper()
	for name, n := range p.m.names {
		data, err := os.ReadFile(name)
		if n.inDir && n.saved > 0 && (err != nil || !strings.Contains(string(data), n.leafs[n.saved]) || !strings.Contains(string(data), n.keys[n.saved])) {
			p.Errorf("the file %s does not hold certificate %d: %v", name, n.saved, err)
		}
	}
	list, err := os.ReadDir(p.dir + "/certs")
	for _, f := range list {
		if n := p.m.names[p.dir+"/certs/"+f.Name()]; n == nil {
			p.Errorf("%s was left in the directory", f.Name())
		} else if n.saved == 0 {
			p.Errorf("%s has a file, and was never committed", f.Name())
		}
	}
	if err != nil {
		p.Error(err)
	}
	report, err := StoreCheck(p.Context(), StoreCheckOptions{Files: []string{p.dir + "/haproxy.cfg"}})
	if err != nil || report.Errors() > 0 {
		p.Errorf("store check: %v, %+v", err, report)
	}
	p.m.kill()
	p.start(string(p.running.sources[0].Data))
	p.compare()
	p.end()
	if p.Failed() {
		p.Logf("the story:\n%s", strings.Join(p.story, "\n"))
	}
}

// crlOf is an empty list of revocations by the certificate and key in text.
func crlOf(t *testing.T, text string, number int64) string {
	t.Helper()
	block, rest := pem.Decode([]byte(text))
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	block, _ = pem.Decode(rest)
	pair, err := tls.X509KeyPair([]byte(text), pem.EncodeToMemory(block))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: ca.NotBefore, NextUpdate: ca.NotAfter}, ca, pair.PrivateKey.(crypto.Signer))
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}
