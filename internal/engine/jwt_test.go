package engine

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestTokensAreVerifiedByWhatTheStoreServes: a rule verifies with a certificate of a file, of a crt-store and of a bind line; a commit counts with the next request.
func TestTokensAreVerifiedByWhatTheStoreServes(t *testing.T) {
	e := newEdge(t, false)
	e.certificate("file.pem", 1, "file.test")
	e.certificate("bound.pem", 2, "bound.test")
	next := bundle(t, 3, "next.test")
	addr, tlsAddr := freePort(t), freePort(t)
	cfg := fmt.Sprintf("crt-store tokens\n    load crt DIR/file.pem alias t jwt on\n"+base+`frontend f
    bind %s
    bind %s ssl crt DIR/bound.pem
    http-request set-var(txn.cert) req.hdr(x-cert)
    http-request return status 200 hdr verified "%%[req.hdr(x-token),jwt_verify_cert(ES256,txn.cert)] %%[req.hdr(x-token),jwt_verify_cert(ES256,DIR/file.pem)]"
`, addr, tlsAddr)
	e.mustApply(cfg)
	e.run()
	sign := func(pem []byte) string {
		pair, err := tls.X509KeyPair(pem, pem)
		if err != nil {
			t.Fatal(err)
		}
		signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256"}`)) + ".e30"
		sum := sha256.Sum256([]byte(signed))
		x, y, err := ecdsa.Sign(rand.Reader, pair.PrivateKey.(*ecdsa.PrivateKey), sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return signed + "." + base64.RawURLEncoding.EncodeToString(append(x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32))...))
	}
	read := func(name string) []byte { return e.o.Store.Bundle(name).PEM() }
	ask := func(token, name string) string {
		t.Helper()
		req, err := http.NewRequest("GET", "http://"+addr+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"X-Token": {token}, "X-Cert": {name}}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.Header.Get("verified")
	}
	file, bound := filepath.Join(e.dir, "file.pem"), filepath.Join(e.dir, "bound.pem")
	old := sign(read(file))
	for _, row := range []struct{ token, name, want string }{
		{old, "@tokens/t", "1 1"}, {old, file, "1 1"}, {old, bound, "-7 1"}, {old, "absent", "-5 1"}, {sign(read(bound)), file, "0 0"},
	} {
		if got := ask(row.token, row.name); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
	if err := e.o.Store.SetJWT(bound, true); err != nil {
		t.Fatal(err)
	}
	if got := ask(sign(read(bound)), bound); got != "1 0" {
		t.Errorf("after add ssl jwt: %q", got)
	}
	if _, _, err := e.o.Store.Set("@tokens/t", next, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.o.Store.Commit("@tokens/t", "test", nil); err != nil {
		t.Fatal(err)
	}
	if got := ask(sign(next), "@tokens/t"); got != "1 0" {
		t.Errorf("the new key after the commit: %q", got)
	}
	if got := ask(old, "@tokens/t"); got != "0 1" {
		t.Errorf("the old key after the commit: %q", got)
	}

	if diags := e.load(base + "frontend f\n    bind " + addr + "\n    http-request return status 200 hdr a %[str(x),jwt_verify_cert(ES256,DIR/absent.pem)]\n"); !strings.Contains(fmt.Sprint(diags), "absent.pem") {
		t.Errorf("a file that is not there: %v", diags)
	}
}
