package certstore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/event"
	"gatehouse/internal/host"
	"gatehouse/internal/host/hosttest"
	"gatehouse/internal/storage"
)

// opened is the State option of a process that holds its state directory.
func opened(dir string) func() (storage.Store, string, error) {
	memory := storage.Memory()
	return func() (storage.Store, string, error) { return memory, dir, nil }
}

// pair is a generated certificate with its parts.
type pair struct{ cert, key string }

func (p pair) pem() string { return p.cert + p.key }

var (
	serials sync.Mutex
	serial  int64
)

// testKey is one key for certificates that need not differ in it; generating is what takes the time.
var testKey = sync.OnceValue(func() *ecdsa.PrivateKey { return newKey() })

func newKey() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// newPair makes a self-signed certificate for names, with a key of its own.
func newPair(t testing.TB, names ...string) pair {
	t.Helper()
	return pairFor(t, newKey(), names...)
}

func pairFor(t testing.TB, k *ecdsa.PrivateKey, names ...string) pair {
	t.Helper()
	serials.Lock()
	serial++
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	serials.Unlock()
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	p8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return pair{block("CERTIFICATE", der), block("PRIVATE KEY", p8)}
}

// world is a machine on which stores are started, killed and started again.
type world struct {
	t     testing.TB
	dir   string // configuration's files
	state string
	fault func(step host.Step, name string) error
	rules LoadRules
	// plan declares what the configuration names.
	plan    func(p *Plan) []error
	persist bool
	locked  bool // the state directory belongs to another process
	events  []event.Event
	history HistoryRules
	db      storage.Store // what a restart finds
	watch   bool
	mem     *hosttest.Memory // in place of the real disk
}

func newWorld(t testing.TB, plan func(w *world, p *Plan) []error) *world {
	w := &world{t: t, dir: t.TempDir(), state: filepath.Join(t.TempDir(), "state"), persist: true, db: storage.Memory()}
	w.plan = func(p *Plan) []error { return plan(w, p) }
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, data string) {
	w.t.Helper()
	if w.mem != nil {
		w.mem.WriteFile(w.path(name), []byte(data), 0o640)
		return
	}
	if err := os.WriteFile(w.path(name), []byte(data), 0o640); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.t.Helper()
	data, err := os.ReadFile(w.path(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

// running is one process.
type running struct {
	*Store
	world *world
	plan  *Plan
	face  socketFace
	bind  *bindLine
}

func (w *world) emit(e event.Event) { w.events = append(w.events, e) }

// start starts a process: what a restart after kill -9 finds.
func (w *world) start() *running {
	w.t.Helper()
	fault := func(step host.Step, name string) error {
		if w.fault == nil {
			return nil
		}
		return w.fault(step, name)
	}
	var h host.Host = host.Direct{Fault: fault}
	if w.mem != nil {
		w.mem.Fault = fault
		h = w.mem
	}
	o := Options{Host: h, StateDir: w.state, State: func() (storage.Store, string, error) { return w.db, w.state, nil }, Emit: w.emit}
	if w.locked {
		o.State = func() (storage.Store, string, error) { return nil, "", fmt.Errorf("state: %w", storage.ErrLocked) }
	}
	r := &running{Store: New(o), world: w}
	r.SetHistory(w.history)
	r.SetWatch(w.watch)
	r.face = socketFace{r.Store}
	r.bind = newBind(r.Store, "cfg:1", true)
	r.reload()
	return r
}

// reload applies a new plan with a new bind line.
func (r *running) reload() {
	r.world.t.Helper()
	p := r.Plan(r.world.rules)
	if errs := r.world.plan(p); len(errs) > 0 {
		r.world.t.Fatal(errs)
	}
	r.plan = p
	r.Apply(p, func() {
		for _, u := range r.bind.entries {
			u.detach()
		}
		clear(r.listUses)
		r.bind = newBind(r.Store, "cfg:1", true)
		for name, l := range p.lists {
			r.bind.follow(name, l.lines)
		}
		for name := range p.items {
			if !r.listed(name) {
				r.bind.Add(cert.Line{Cert: name}, r.Bundle(name))
			}
		}
	})
}

func (r *running) listed(name string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.listedLocked(name)
}

// deploy is set and commit over the socket.
func (r *running) deploy(name string, pemText string) string {
	r.world.t.Helper()
	if got := r.face.run("set ssl cert "+name, []byte(pemText)); got != "Transaction created for certificate "+name+"!" {
		return got
	}
	return r.face.run("commit ssl cert "+name, nil)
}

func (r *running) mustDeploy(name, pemText string) {
	r.world.t.Helper()
	if got := r.deploy(name, pemText); !strings.HasSuffix(got, "\nSuccess!") {
		r.world.t.Fatalf("deploying %s: %s", name, got)
	}
}

// serves wants a name of the bind line to be answered with a certificate.
func (r *running) serves(sni string, want pair) {
	r.world.t.Helper()
	b, err := cert.Parse("want", []byte(want.pem()))
	if err != nil {
		r.world.t.Fatal(err)
	}
	if got, want := r.bind.serving(sni), fmt.Sprintf("%x", b.Fingerprint[:4]); got != want {
		r.world.t.Errorf("%s is served with %q, want %q", sni, got, want)
	}
}

// oneFile declares one.pem, read as `crt`.
func oneFile(w *world, p *Plan) []error {
	src := Source{Name: w.path("one.pem"), File: w.path("one.pem"), Persist: w.persist, Pos: "cfg:1"}
	if err := p.Declare(src); err != nil {
		return []error{err}
	}
	return nil
}

// oneDir declares the directory itself.
func oneDir(w *world, p *Plan) []error {
	_, errs := p.DeclareDir(w.dir+"/", w.persist)
	return errs
}
