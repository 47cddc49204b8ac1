package engine

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/certstore"
	"gatehouse/internal/config"
	"gatehouse/internal/host"
	"gatehouse/internal/stats"
)

const patience = 20 * time.Second

// edge is an engine on loopback with what it said.
type edge struct {
	*Engine
	t     *testing.T
	dir   string
	store *certstore.Store

	mu    sync.Mutex
	notes []string
}

func newEdge(t *testing.T, strict bool) *edge {
	t.Helper()
	e := &edge{t: t, dir: t.TempDir()}
	e.store = certstore.New(certstore.Options{Host: host.Direct{}})
	e.Engine = New(Options{
		Host: host.Direct{}, Store: e.store, Parse: config.ParseOptions{Version: "3.4.0"}, Limits: Limits{Strict: strict},
		Notify: func(level, text string) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.notes = append(e.notes, level+" "+text)
		},
	})
	return e
}

// load plans a configuration; DIR stands for the edge's folder.
func (e *edge) load(text string) config.Diags {
	e.t.Helper()
	_, diags := e.Load(e.t.Context(), []config.Source{{Name: "test.cfg", Data: []byte(strings.ReplaceAll(text, "DIR", e.dir))}})
	return diags
}

// mustApply loads and applies a configuration.
func (e *edge) mustApply(text string) {
	e.t.Helper()
	if diags := e.load(text); diags.HasErrors() {
		e.t.Fatalf("load: %v", diags)
	}
	if diags := e.Apply(e.t.Context()); diags.HasErrors() {
		e.t.Fatalf("apply: %v", diags)
	}
}

// run serves until the test ends.
func (e *edge) run() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	e.t.Cleanup(func() {
		stop()
		select {
		case err := <-done:
			if err != nil {
				e.t.Errorf("run: %v", err)
			}
		case <-time.After(patience):
			e.t.Error("run does not return")
		}
	})
}

// freePort returns an address nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	for {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close() // the next one asked for is another
		if _, given := givenPorts.LoadOrStore(ln.Addr().String(), true); !given {
			return ln.Addr().String()
		}
	}
}

// givenPorts are the addresses that freePort has returned: the kernel may name one twice.
var givenPorts sync.Map

// webServer answers every request with name.
func webServer(t *testing.T, name string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, name, " ", r.Header.Get("X-Generation"))
	})}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return ln.Addr().String()
}

func (e *edge) certificate(file string, serial int64, names ...string) {
	e.t.Helper()
	if err := os.WriteFile(filepath.Join(e.dir, file), bundle(e.t, serial, names...), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

func bundle(t *testing.T, serial int64, names ...string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

// client is one connection that asks several times.
type client struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t, c, bufio.NewReader(c)}
}

func (c *client) get() (status int, body string) {
	c.t.Helper()
	c.c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c.c, "GET / HTTP/1.1\r\nHost: x.test\r\n\r\n")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func serialOf(t *testing.T, addr, name string) int64 {
	t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", addr, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

const base = `defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
`

func TestAReloadKeepsTheConnectionAndShowsTheNewGenerationToItsNextRequest(t *testing.T) {
	e := newEdge(t, false)
	addr, server := freePort(t), webServer(t, "one")
	cfg := func(gen int) string {
		return fmt.Sprintf(base+"frontend f\n    bind %s\n    http-request set-header x-generation %d\n    default_backend b\nbackend b\n    server s %s\n", addr, gen, server)
	}
	e.mustApply(cfg(1))
	e.run()
	c := dial(t, addr)
	if _, body := c.get(); body != "one 1" {
		t.Fatalf("got %q", body)
	}
	e.mustApply(cfg(2))
	if _, body := c.get(); body != "one 2" {
		t.Fatalf("after the reload: got %q", body)
	}
}

func TestAConfigurationThatDoesNotLoadLeavesTheOldOneServing(t *testing.T) {
	e := newEdge(t, false)
	addr, server := freePort(t), webServer(t, "one")
	e.mustApply(fmt.Sprintf(base+"listen f\n    bind %s\n    server s %s\n", addr, server))
	e.run()
	diags := e.load(base + "frontend f\n    bindx :80\n    http-request set-haeder a b\n")
	if !diags.HasErrors() || len(diags) < 2 {
		t.Fatalf("want both errors, got %v", diags)
	}
	if _, body := dial(t, addr).get(); body != "one " {
		t.Errorf("got %q", body)
	}
}

func TestAnAddressThatIsTakenFailsTheWholeApply(t *testing.T) {
	e := newEdge(t, false)
	first, server := freePort(t), webServer(t, "one")
	e.mustApply(fmt.Sprintf(base+"listen f\n    bind %s\n    server s %s\n", first, server))
	e.run()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := freePort(t)
	if diags := e.load(fmt.Sprintf(base+"listen g\n    bind %s\n    bind %s\n    server s %s\n", free, taken.Addr(), server)); diags.HasErrors() {
		t.Fatal(diags)
	}
	diags := e.Apply(t.Context())
	if !diags.HasErrors() || !strings.Contains(diags[0].Text, "test.cfg:8") || !strings.Contains(diags[0].Text, "Address already in use") {
		t.Fatalf("got %v", diags)
	}
	if c, err := net.Dial("tcp", free); err == nil {
		c.Close()
		t.Error("the free address of the failed generation is open")
	}
	if _, body := dial(t, first).get(); body != "one " {
		t.Errorf("got %q", body)
	}
}

func TestARemovedFrontendIsClosedAndAnotherOpened(t *testing.T) {
	e := newEdge(t, false)
	a, b, server := freePort(t), freePort(t), webServer(t, "one")
	e.mustApply(fmt.Sprintf(base+"listen f\n    bind %s\n    server s %s\n", a, server))
	e.run()
	old := dial(t, a)
	old.get()
	e.mustApply(fmt.Sprintf(base+"listen g\n    bind %s\n    server s %s\n", b, server))
	if _, body := dial(t, b).get(); body != "one " {
		t.Errorf("got %q", body)
	}
	old.c.SetReadDeadline(time.Now().Add(patience))
	if _, err := old.r.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection of the removed frontend: %v, want EOF", err)
	}
	deadline := time.Now().Add(patience)
	for {
		c, err := net.Dial("tcp", a)
		if err != nil {
			break
		}
		c.Close()
		if time.Now().After(deadline) {
			t.Fatal("the removed frontend still accepts")
		}
	}
}

func TestServersKeepWhatOperatorsSaidAcrossAReload(t *testing.T) {
	e := newEdge(t, false)
	addr, server := freePort(t), webServer(t, "one")
	cfg := fmt.Sprintf(base+"listen f\n    bind %s\n    server s %s weight 10\n", addr, server)
	e.mustApply(cfg)
	e.run()
	s := e.Backend("f").Server("s")
	if err := s.SetState("maint"); err != nil {
		t.Fatal(err)
	}
	e.mustApply(cfg)
	if status, _ := dial(t, addr).get(); status != 503 {
		t.Errorf("status %d from a server in maintenance", status)
	}
	if again := e.Backend("f").Server("s"); again == s || again.Facts().Status != "MAINT" {
		t.Errorf("status %s", again.Facts().Status)
	}
}

func TestACommitIsServedAndSurvivesAReload(t *testing.T) {
	e := newEdge(t, false)
	addr := freePort(t)
	e.certificate("site.pem", 1, "www.test")
	cfg := fmt.Sprintf(base+"frontend f\n    bind %s ssl crt DIR/site.pem\n", addr)
	e.mustApply(cfg)
	e.run()
	if n := serialOf(t, addr, "www.test"); n != 1 {
		t.Fatalf("serial %d", n)
	}
	name := filepath.Join(e.dir, "site.pem")
	if _, _, err := e.store.Set(name, bundle(t, 2, "www.test"), "test"); err != nil {
		t.Fatal(err)
	}
	dots := 0
	if _, err := e.store.Commit(name, "test", func() { dots++ }); err != nil || dots != 1 {
		t.Fatalf("%v, %d dots", err, dots)
	}
	if n := serialOf(t, addr, "www.test"); n != 2 {
		t.Fatalf("after the commit: serial %d", n)
	}
	e.mustApply(cfg)
	if n := serialOf(t, addr, "www.test"); n != 2 {
		t.Errorf("after the reload: serial %d", n)
	}
}

func TestACertificateAddedToADirectoryAnswersAndGoesAgain(t *testing.T) {
	e := newEdge(t, false)
	addr := freePort(t)
	if err := os.Mkdir(filepath.Join(e.dir, "certs"), 0o700); err != nil {
		t.Fatal(err)
	}
	e.certificate("certs/a.pem", 1, "a.test")
	e.mustApply(fmt.Sprintf(base+"frontend f\n    bind %s ssl crt DIR/certs/\n", addr))
	e.run()
	name, list := filepath.Join(e.dir, "certs/b.pem"), filepath.Join(e.dir, "certs")
	if err := e.store.NewCert(name); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.store.Set(name, bundle(t, 2, "b.test"), "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.store.Commit(name, "test", func() {}); err != nil {
		t.Fatal(err)
	}
	if n := serialOf(t, addr, "b.test"); n != 1 {
		t.Errorf("before it is in the list: serial %d, want the default's", n)
	}
	if _, err := e.store.AddLine(list, name, "test", "", func() {}); err != nil {
		t.Fatal(err)
	}
	if n := serialOf(t, addr, "b.test"); n != 2 {
		t.Errorf("in the list: serial %d", n)
	}
	if err := e.store.DelLine(list, filepath.Join(e.dir, "certs/a.pem")); err == nil {
		t.Error("the default certificate was deleted")
	}
	if err := e.store.DelLine(list, name); err != nil {
		t.Fatal(err)
	}
	if n := serialOf(t, addr, "b.test"); n != 1 {
		t.Errorf("deleted: serial %d, want the default's", n)
	}
}

func TestAnUnusableCertificateIsAnErrorOnlyUnderCheck(t *testing.T) {
	for _, strict := range []bool{true, false} {
		e := newEdge(t, strict)
		e.certificate("good.pem", 1, "good.test")
		if err := os.WriteFile(filepath.Join(e.dir, "bad.pem"), []byte("hello\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		addr := freePort(t)
		diags := e.load(fmt.Sprintf(base+"frontend f\n    bind %s ssl crt DIR/bad.pem crt DIR/good.pem\n", addr))
		if diags.HasErrors() != strict {
			t.Fatalf("strict %v: %v", strict, diags)
		}
		if !slices.ContainsFunc(diags, func(d config.Diag) bool {
			return d.Level == config.LevelAlert && strings.Contains(d.Text, "bad.pem") && strings.Contains(d.Text, "test.cfg:7")
		}) {
			t.Errorf("strict %v: nobody says what is wrong with bad.pem: %v", strict, diags)
		}
		if strict {
			continue
		}
		if diags := e.Apply(t.Context()); diags.HasErrors() {
			t.Fatal(diags)
		}
		e.run()
		if n := serialOf(t, addr, "good.test"); n != 1 {
			t.Errorf("serial %d", n)
		}
	}
}

func TestALoadThatIsNotAppliedChangesNothing(t *testing.T) {
	e := newEdge(t, false)
	addr, server := freePort(t), webServer(t, "one")
	cfg := fmt.Sprintf(base+"listen f\n    bind %s\n    server s %s\n", addr, server)
	e.mustApply(cfg)
	e.run()
	for range 20 {
		if diags := e.load(cfg + "frontend g\n    bind 127.0.0.1:1\n"); diags.HasErrors() {
			t.Fatal(diags)
		}
	}
	if e.Frontend("g") != nil {
		t.Error("a frontend of a plan exists")
	}
	if _, body := dial(t, addr).get(); body != "one " {
		t.Errorf("got %q", body)
	}
}

func TestRulesOfNamedDefaultsSeeTheACLsOfTheirSection(t *testing.T) {
	e := newEdge(t, false)
	addr, server := freePort(t), webServer(t, "one")
	e.mustApply(fmt.Sprintf(strings.Replace(base, "defaults", "defaults d", 1)+`    acl here path /
    http-request set-header x-generation 7 if here
frontend f from d
    bind %s
    default_backend b
defaults
backend b
    mode http
    timeout connect 5s
    timeout server 5s
    server s %s
`, addr, server))
	e.run()
	if _, body := dial(t, addr).get(); body != "one 7" {
		t.Errorf("got %q", body)
	}
}

func TestAListenAsAnotherFrontendsBackendRunsItsRules(t *testing.T) {
	e := newEdge(t, false)
	a, b, server := freePort(t), freePort(t), webServer(t, "one")
	e.mustApply(fmt.Sprintf(base+`frontend f
    bind %s
    default_backend l
listen l
    bind %s
    http-request add-header x-generation 3
    server s %s
`, a, b, server))
	e.run()
	for _, addr := range []string{a, b} {
		if _, body := dial(t, addr).get(); body != "one 3" {
			t.Errorf("%s: got %q", addr, body)
		}
	}
}

func TestTheTableHasARowForEverything(t *testing.T) {
	e := newEdge(t, false)
	addr, server := freePort(t), webServer(t, "one")
	e.mustApply(fmt.Sprintf(base+"frontend f\n    bind %s\n    option socket-stats\n    default_backend b\nbackend b\n    server s %s\n", addr, server))
	e.run()
	dial(t, addr).get()
	var got []string
	for r := range e.Rows() {
		got = append(got, r.Text(stats.ColProxy)+"/"+r.Text(stats.ColServer))
	}
	if want := []string{"f/FRONTEND", "f/sock-1", "b/s", "b/BACKEND"}; !slices.Equal(got, want) {
		t.Errorf("rows %v, want %v", got, want)
	}
	var info stats.Info
	e.FillInfo(&info)
	if info.CumConns != 1 || info.Listeners != 1 || info.CumReq != 1 {
		t.Errorf("info %+v", info)
	}
}

func TestSoftStopLetsTheConnectionFinish(t *testing.T) {
	e := newEdge(t, false)
	addr := freePort(t)
	release := make(chan struct{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	srv := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-release
		fmt.Fprint(w, "late")
	})}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	e.mustApply(fmt.Sprintf(base+"listen f\n    bind %s\n    server s %s\n", addr, ln.Addr()))
	done := make(chan error, 1)
	go func() { done <- e.Run(context.Background()) }()
	c := dial(t, addr)
	fmt.Fprint(c.c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	e.SoftStop()
	e.mu.Lock()
	if want := "WARNING Proxy f stopped (cumulated conns: FE: 1, BE: 1)."; !slices.Contains(e.notes, want) {
		t.Errorf("notes %q, want %q", e.notes, want)
	}
	e.mu.Unlock()
	close(release)
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); string(body) != "late" {
		t.Errorf("got %q", body)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("run does not return after a soft stop")
	}
}

// A connection that fails in its handshake is what error-log-format is for (manual section 8.2.5).
func TestAFailedHandshakeIsLoggedInTheErrorFormat(t *testing.T) {
	e := newEdge(t, false)
	e.certificate("site.pem", 1, "a.test")
	sink, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	addr := freePort(t)
	e.mustApply(fmt.Sprintf("global\n    log %s format raw local0\n"+base+`frontend f
    log global
    error-log-format "%%ci %%f %%b/%%s %%ST %%ts %%[fc_err] %%HM"
    bind %s ssl crt DIR/site.pem
`, sink.LocalAddr(), addr))
	e.run()
	c := dial(t, addr)
	if _, err := io.WriteString(c.c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	sink.SetReadDeadline(time.Now().Add(patience))
	line := make([]byte, 500)
	n, _, err := sink.ReadFrom(line)
	if want := "127.0.0.1 f f/<NOSRV> 0 PR 34 <BADREQ>"; err != nil || strings.TrimSpace(string(line[:n])) != want {
		t.Errorf("got %q %v, want %q", line[:n], err, want)
	}
}

func TestAnAddressBoundTwiceIsRefused(t *testing.T) {
	e := newEdge(t, false)
	addr := freePort(t)
	diags := e.load(fmt.Sprintf(base+"frontend f\n    bind %s\nfrontend g\n    bind %s\n", addr, addr))
	if !diags.HasErrors() || !strings.Contains(diags[0].Text, "test.cfg:9") || !strings.Contains(diags[0].Text, "test.cfg:7") {
		t.Errorf("got %v", diags)
	}
}

// -c is to tell every fault of a file, each with its place, what was found and, where something is near, what was meant.
func TestEveryFaultIsToldWithItsPlace(t *testing.T) {
	e := newEdge(t, false)
	diags := e.load(`global
    maxcon 100
defaults
    mode http
    timeout clinet 5s
    timeout client 5s
    timeout server 5s
    timeout connect 5s
    option httplgo
frontend web
    bind *:8080 sll crt /nowhere.pem
    acl a path_begg /x
    acl c src 300.1.2.3
    http-request set-haeder x y
    http-request set-var(txn.x) req.hdrr(host)
    http-request set-var(txn.x) req.hdr(host),lowr
    http-request deny if nosuchacl
    http-request deny if METH_GETT
    log-format "%ci %zz"
    use_backend web3 if TRUE
    default_backend nosuch
    tcp-request content accept if { req_ssl_hello_typ 1 }
    stick-table type ipp size 1k
backend web2
    server s1 127.0.0.1:80 chek
    server second 127.0.0.1:80 weigth 5
    server third 127.0.0.1:80
    use-server thrid if TRUE
`)
	told := ""
	for i := range diags {
		told += diags[i].Level + " " + diags[i].String() + "\n"
	}
	for _, want := range []string{
		":2] : unknown keyword 'maxcon' in 'global' section; did you mean 'maxconn' maybe ?", ":5] : 'timeout' supports ", "(got 'clinet'); did you mean 'client' maybe ?",
		":9] : unknown option 'httplgo'; did you mean 'httplog' maybe ?", "unknown keyword 'sll'; did you mean 'ssl' maybe ?", "'path_begg'; did you mean 'path_beg' maybe ?",
		":13] : error detected while parsing ACL 'c' : '300.1.2.3' is not", "Did you mean 'set-header' maybe ?", "'req.hdrr'; did you mean 'req.hdr' maybe ?", "'lowr'; did you mean 'lower' maybe ?",
		":17] : error detected", "no such ACL : 'nosuchacl'", "no such ACL : 'METH_GETT'; did you mean 'METH_GET' maybe ?", ":19]: failed to parse log-format : no such format alias 'zz'",
		"required use_backend: 'web3'. [test.cfg:20]; did you mean 'web2' maybe ?", "required default_backend: 'nosuch'. [test.cfg:21]", "'req_ssl_hello_typ'; did you mean 'req.ssl_hello_type' maybe ?",
		":23] : stick-table: unknown type 'ipp'", "unknown keyword 'chek'; did you mean 'check' maybe ?", "unknown keyword 'weigth'; did you mean 'weight' maybe ?", "'thrid' referenced in a 'use-server' rule. [test.cfg:28]; did you mean 'third' maybe ?",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("not told: %s", want)
		}
	}
	if t.Failed() {
		t.Logf("told:\n%s", told)
	}
}
