package engine

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/cert"
)

// newECH makes an ECH key: its PEM file, and the list of configurations that clients are given.
func newECH(t *testing.T, id byte, publicName string) (file, list []byte) {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	vector := func(size int, b []byte) []byte {
		n := binary.BigEndian.AppendUint16(nil, uint16(len(b)))
		return append(n[2-size:], b...)
	}
	contents := append([]byte{id, 0, 0x20}, vector(2, key.PublicKey().Bytes())...)
	contents = append(contents, vector(2, []byte{0, 1, 0, 1})...)
	contents = append(append(contents, 0), vector(1, []byte(publicName))...)
	contents = append(contents, 0, 0)
	list = vector(2, append([]byte{0xfe, 0x0d}, vector(2, contents)...))
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "ECHCONFIG", Bytes: list})...), list
}

// TestEncryptedClientHello: the inner name selects; a client with an old key is given the new ones, and one without ECH is served; keys change at run time.
func TestEncryptedClientHello(t *testing.T) {
	e := newEdge(t, false)
	e.certificate("public.pem", 1, "public.test")
	e.certificate("hidden.pem", 2, "hidden.test")
	file, list := newECH(t, 7, "public.test")
	other, otherList := newECH(t, 8, "public.test")
	dir := filepath.Join(e.dir, "keys")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"a.ech": file, "b.ech": []byte("no key"), "c.pem": other} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	addr := freePort(t)
	bind := fmt.Sprintf("    bind %s name tls ssl crt DIR/public.pem crt DIR/hidden.pem ech DIR/keys verify none\n    http-request return status 200\n", addr)
	const allow = "global\n    expose-experimental-directives\n"
	if diags := e.load(base + "frontend f\n" + bind); !strings.Contains(fmt.Sprint(diags), "directive is experimental") {
		t.Errorf("without expose-experimental-directives: %v", diags)
	}
	if diags := e.load(allow + base + "frontend f\n" + strings.Replace(bind, "/keys", "/absent", 1)); !strings.Contains(fmt.Sprint(diags), "failed to load ECH key s from") {
		t.Errorf("without keys: %v", diags)
	}
	e.mustApply(allow + base + "frontend f\n" + bind)
	e.run()

	pool := x509.NewCertPool()
	for _, name := range []string{"public.pem", "hidden.pem"} {
		pool.AddCert(e.o.Store.Bundle(filepath.Join(e.dir, name)).X509())
	}
	// shake returns the serial of the certificate that was shown, and the configurations to try instead.
	shake := func(list []byte) (serial int64, accepted bool, retry []byte) {
		t.Helper()
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", addr, &tls.Config{ServerName: "hidden.test", RootCAs: pool, EncryptedClientHelloConfigList: list})
		var rejected *tls.ECHRejectionError
		if errors.As(err, &rejected) {
			return 0, false, rejected.RetryConfigList
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		state := c.ConnectionState()
		return state.PeerCertificates[0].SerialNumber.Int64(), state.ECHAccepted, nil
	}
	if serial, accepted, _ := shake(list); serial != 2 || !accepted {
		t.Errorf("with the key: certificate %d, accepted %t", serial, accepted)
	}
	if serial, accepted, _ := shake(nil); serial != 2 || accepted {
		t.Errorf("without ECH: certificate %d, accepted %t", serial, accepted)
	}
	_, _, retry := shake(otherList)
	if string(retry) != string(list) {
		t.Fatalf("a client with another key is given %x, want %x", retry, list)
	}

	binds := e.ECHBinds()
	if len(binds) != 1 || binds[0].Alias != "f/tls" || !strings.HasPrefix(binds[0].Name, "f/@") || len(binds[0].Keys.Entries()) != 1 {
		t.Fatalf("bind lines: %+v", binds)
	}
	if got := binds[0].Keys.Entries()[0].String(); !strings.HasPrefix(got, "[fe0d,07,public.test,[0020,0001,0001],") || !strings.HasSuffix(got, ",00,00]") {
		t.Errorf("shown: %s", got)
	}
	keys, err := cert.ParseECH(other)
	if err != nil {
		t.Fatal(err)
	}
	if !binds[0].Keys.Add(keys, false) {
		t.Error("a second key was not taken")
	}
	for i, list := range [][]byte{list, otherList} {
		if serial, accepted, _ := shake(list); serial != 2 || !accepted {
			t.Errorf("key %d of two: certificate %d, accepted %t", i, serial, accepted)
		}
	}
	binds[0].Keys.Drop(0)
	if _, accepted, retry := shake(list); accepted || retry != nil {
		t.Errorf("after all keys were removed: accepted %t, %x", accepted, retry)
	}
	for name, data := range map[string]string{"nothing": "", "no key": string(file[strings.Index(string(file), "-----BEGIN ECH"):]),
		"not its key": string(other[:strings.Index(string(other), "-----BEGIN ECH")]) + string(file[strings.Index(string(file), "-----BEGIN ECH"):])} {
		if keys, err := cert.ParseECH([]byte(data)); err == nil {
			t.Errorf("%s: %v", name, keys)
		}
	}
}
