package listener

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"gatehouse/internal/cert"
)

// updater writes KeyUpdate records behind the handshake of a TLS 1.3 client (RFC 8446 section 4.6.3), which crypto/tls never does.
type updater struct {
	suite  uint16
	secret []byte // the client's traffic secret of now
}

func (u *updater) hash() func() hash.Hash {
	if u.suite == tls.TLS_AES_256_GCM_SHA384 {
		return sha512.New384
	}
	return sha256.New
}

// expand is HKDF-Expand-Label with an empty context.
func (u *updater) expand(t *testing.T, label string, n int) []byte {
	t.Helper()
	label = "tls13 " + label
	info := append(binary.BigEndian.AppendUint16(nil, uint16(n)), byte(len(label)))
	out, err := hkdf.Expand(u.hash(), u.secret, string(append(append(info, label...), 0)), n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// keyUpdate is one record under the keys of now, which are replaced.
func (u *updater) keyUpdate(t *testing.T) []byte {
	t.Helper()
	var seal cipher.AEAD
	var err error
	size := map[uint16]int{tls.TLS_AES_128_GCM_SHA256: 16, tls.TLS_AES_256_GCM_SHA384: 32, tls.TLS_CHACHA20_POLY1305_SHA256: 32}[u.suite]
	key := u.expand(t, "key", size)
	if u.suite == tls.TLS_CHACHA20_POLY1305_SHA256 {
		seal, err = chacha20poly1305.New(key)
	} else {
		var block cipher.Block
		if block, err = aes.NewCipher(key); err == nil {
			seal, err = cipher.NewGCM(block)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	const message = "\x18\x00\x00\x01\x00" + "\x16" // update_not_requested; the content type
	head := []byte{0x17, 3, 3, 0, byte(len(message) + seal.Overhead())}
	record := seal.Seal(head, u.expand(t, "iv", 12), []byte(message), head) // the first record of its keys: the nonce is the iv
	u.secret = u.expand(t, "traffic upd", len(u.secret))
	return record
}

// TestThreat_N07: neither a flood of KeyUpdates nor renegotiation keeps a connection busy: both end it at once.
func TestThreat_N07(t *testing.T) {
	a := newAuthority(t, "ca")
	newListener := func(t *testing.T) *running {
		return start(t, Options{TLS: &cert.Options{}, Index: index(false, a.bundle(t, "a.test")), HandshakeTimeout: 20 * time.Second})
	}
	for _, tc := range []struct {
		updates int
		lives   bool
	}{{3, true}, {1000, false}} {
		t.Run(fmt.Sprint(tc.updates, " updates of keys"), func(t *testing.T) {
			r := newListener(t)
			nc := dial(t, r)
			var log bytes.Buffer
			client := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, KeyLogWriter: &log})
			if err := client.Handshake(); err != nil {
				t.Fatal(err)
			}
			<-r.served
			u := &updater{suite: client.ConnectionState().CipherSuite, secret: secretOf(t, log.String(), "CLIENT_TRAFFIC_SECRET_0")}
			_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
			for range tc.updates {
				if _, err := nc.Write(u.keyUpdate(t)); err != nil {
					break // it was closed
				}
			}
			if tc.lives {
				_ = nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				_, err := client.Read(make([]byte, 1))
				if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
					t.Errorf("%d updates ended the connection: %v", tc.updates, err)
				}
				return
			}
			if _, err := io.Copy(io.Discard, client); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Errorf("%d updates: the connection lives", tc.updates)
			}
		})
	}
	t.Run("renegotiation", func(t *testing.T) {
		r := newListener(t)
		nc := &recorded{Conn: dial(t, r)}
		var log bytes.Buffer
		client := tls.Client(nc, &tls.Config{
			InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, KeyLogWriter: &log,
		})
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		<-r.served
		_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := nc.Conn.Write(nc.secondHello(t, secretOf(t, log.String(), "CLIENT_RANDOM"))); err != nil {
			t.Fatal(err)
		}
		_, err := io.Copy(io.Discard, client)
		if err == nil || !strings.Contains(err.Error(), "unexpected message") {
			t.Errorf("a second ClientHello is answered with %v", err)
		}
	})
}

// recorded keeps the first bytes of both directions, which hold the two hellos.
type recorded struct {
	net.Conn
	in, out []byte
}

func (c *recorded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.in = append(c.in, p[:n]...)
	return n, err
}

func (c *recorded) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return c.Conn.Write(p)
}

// secondHello is the client's hello again, as the second record of the keys of a TLS 1.2 connection (RFC 5246 section 6.3, RFC 5288).
func (c *recorded) secondHello(t *testing.T, master []byte) []byte {
	t.Helper()
	const random, size = 5 + 4 + 2, 32 // behind the heads of record and message, and the version
	seed := append([]byte("key expansion"), c.in[random:random+size]...)
	seed = append(seed, c.out[random:random+size]...)
	mac := func(parts ...[]byte) []byte {
		h := hmac.New(sha256.New, master)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	var keys []byte
	for a := mac(seed); len(keys) < 40; a = mac(a) {
		keys = append(keys, mac(a, seed)...)
	}
	block, err := aes.NewCipher(keys[:16])
	if err != nil {
		t.Fatal(err)
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	hello := c.out[5 : 5+int(binary.BigEndian.Uint16(c.out[3:]))]
	number := []byte{0, 0, 0, 0, 0, 0, 0, 1} // Finished was 0
	nonce := append(bytes.Clone(keys[32:36]), number...)
	head := func(n int) []byte { return []byte{22, 3, 3, byte(n >> 8), byte(n)} }
	sealed := seal.Seal(nil, nonce, hello, append(bytes.Clone(number), head(len(hello))...))
	return append(append(head(len(number)+len(sealed)), number...), sealed...)
}

// secretOf finds a secret in what KeyLogWriter was given.
func secretOf(t *testing.T, log, label string) []byte {
	t.Helper()
	for line := range strings.Lines(log) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == label {
			secret, err := hex.DecodeString(words[2])
			if err != nil {
				t.Fatal(err)
			}
			return secret
		}
	}
	t.Fatalf("no %s in %q", label, log)
	return nil
}
