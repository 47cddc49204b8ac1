package ocsp

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/certstore"
	"gatehouse/internal/event"
	"gatehouse/internal/gatetest"
	"gatehouse/internal/host"
	"gatehouse/internal/storage"
)

// world is a folder of certificates, a store that serves them, an updater, and responders by host.
type world struct {
	t          *testing.T
	dir        string
	ca         *gatetest.Responder
	responders map[string]http.RoundTripper
	mode       bool // ocsp-update.mode
	settings   Settings

	store *certstore.Store
	u     *Updater
	stop  func()

	mu     sync.Mutex
	lines  []string
	events []event.Event
}

// names of a certificate's file in a world's folder.
func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func newWorld(t *testing.T) *world {
	t.Helper()
	ca, err := gatetest.NewResponder()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir(), ca: ca, mode: true, responders: map[string]http.RoundTripper{"ocsp.test": ca},
		settings: Settings{Delays: Delays{5 * time.Minute, time.Hour}}}
	return w
}

// RoundTrip sends a request to the responder of its host.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	rt := w.responders[r.URL.Host]
	w.mu.Unlock()
	if rt == nil {
		return nil, fmt.Errorf("no such host")
	}
	return rt.RoundTrip(r)
}

// put makes a responder that of a host.
func (w *world) put(host string, rt http.RoundTripper) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.responders[host] = rt
}

// issue makes the file of a certificate and returns its path.
func (w *world) issue(file, server string) string {
	w.t.Helper()
	pem, err := w.ca.Issue(server, file)
	if err == nil {
		err = os.WriteFile(w.path(file), pem, 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return w.path(file)
}

type user struct{}

func (user) Prepare(*cert.Bundle) error { return nil }
func (user) Publish(*cert.Bundle)       {}

// start declares all files of the folder, in the order of their names, serves them, and runs the updater until the test or stop ends it.
func (w *world) start() *world {
	w.t.Helper()
	state := w.path("state")
	w.store = certstore.New(certstore.Options{Host: host.Direct{}, StateDir: state, Emit: w.emit,
		State: func() (storage.Store, string, error) { return storage.Memory(), state, nil }})
	plan := w.store.Plan(certstore.LoadRules{OCSPUpdate: w.mode, StateDir: state})
	files, err := filepath.Glob(w.path("*.pem"))
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(files)
	for _, f := range files {
		if err := plan.Declare(certstore.Source{Name: f, File: f, Persist: true}); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, p := range plan.Problems() {
		if p.Fatal {
			w.t.Fatalf("%+v", p)
		}
	}
	w.store.Apply(plan, func() {
		for _, f := range files {
			w.store.Attach(f, user{})
		}
	})
	w.u = New(Options{Store: w.store, Transport: w, Log: w.log, Emit: w.emit, UserAgent: "test"})
	w.u.Update(w.settings)
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.u.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	return w
}

func (w *world) log(level, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, level+" "+strings.ReplaceAll(text, w.dir+"/", ""))
}

func (w *world) emit(ev event.Event) {
	w.mu.Lock()
	w.events = append(w.events, ev)
	u := w.u
	w.mu.Unlock()
	if u != nil && (ev.Kind == event.CertCommitted || ev.Kind == event.CertUsed) {
		u.Changed(ev.Subject)
	}
}

// logged returns the lines since it was called last.
func (w *world) logged() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := w.lines
	w.lines = nil
	return lines
}

// kinds counts the events of a kind.
func (w *world) kinds(kind event.Kind) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ev := range w.events {
		if ev.Kind == kind {
			n++
		}
	}
	return n
}

// staple is what a handshake would send for a name now.
func (w *world) staple(name string) []byte { return w.store.Bundle(w.path(name)).Staple(time.Now()) }

func (w *world) wants(lines ...string) {
	w.t.Helper()
	if got := w.logged(); !slices.Equal(got, lines) {
		w.t.Errorf("log has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

// pass lets time go by.
func pass(d time.Duration) {
	time.Sleep(d) // of the bubble
	synctest.Wait()
}

func inBubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f(t, w)
		w.stop()
	})
}
