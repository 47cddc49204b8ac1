package engine

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestTicketKeysOutliveReloads: sessions of the process's keys, of sessions kept without tickets, and of a file's rotated keys are resumed after a reload; a file that
// was changed is read anew.
func TestTicketKeysOutliveReloads(t *testing.T) {
	e := newEdge(t, false)
	e.certificate("site.pem", 1, "site.test")
	keys := func() {
		var file []byte
		for range 3 {
			key := make([]byte, 80)
			rand.Read(key)
			file = append(base64.StdEncoding.AppendEncode(file, key), '\n')
		}
		if err := os.WriteFile(filepath.Join(e.dir, "keys"), file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keys()
	addrs := []string{freePort(t), freePort(t), freePort(t)}
	cfg := fmt.Sprintf("global\n    tune.ssl.cachesize 1000\n    tune.ssl.lifetime 1h\n"+base+"frontend f\n    bind %s ssl crt DIR/site.pem\n    bind %s ssl crt DIR/site.pem no-tls-tickets\n"+
		"    bind %s ssl crt DIR/site.pem tls-ticket-keys DIR/keys\n    http-request return status 200\n", addrs[0], addrs[1], addrs[2])
	e.mustApply(cfg)
	e.run()
	edges := &isolation{edge: e}
	sessions := map[string]*tls.ClientSessionState{}
	come := func(addr string) bool {
		t.Helper()
		edges.addr = addr
		got := edges.come(visitor{sni: "site.test", host: "site.test", version: tls.VersionTLS13, session: sessions[addr]})
		if got.status != 200 {
			t.Fatalf("%s: status %d", addr, got.status)
		}
		if got.session != nil {
			sessions[addr] = got.session
		}
		return got.resumed
	}
	for _, addr := range addrs {
		come(addr)
	}
	files := e.TicketFiles()
	if len(files) != 1 || files[0].ID() != 0 || files[0].Name() != filepath.Join(e.dir, "keys") {
		t.Fatalf("files %+v", files)
	}
	if err := files[0].Rotate(make([]byte, 80)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		e.mustApply(cfg)
		for _, addr := range addrs {
			if !come(addr) {
				t.Errorf("%s: not resumed after a reload", addr)
			}
		}
		if got := e.TicketFiles()[0].Keys(); len(got) != 3 || string(got[2]) != string(make([]byte, 80)) {
			t.Errorf("the reload dropped the key that was set: %x", got)
		}
	}
	var lookups int64
	if lookups, _ = e.sessions.Counts(); lookups != 2 {
		t.Errorf("%d sessions were looked up in memory, want 2", lookups)
	}
	keys()
	e.mustApply(cfg)
	if come(addrs[2]) || !come(addrs[0]) {
		t.Error("a file that was changed is read anew, and that alone")
	}
	if diags := e.load("global\n    tune.ssl.cachesize -1\n"); !diags.HasErrors() {
		t.Error("a cache of a size below zero was taken")
	}
}
