package ocsp

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/gatetest"
)

func requestFor(t *testing.T, pem []byte) []byte {
	t.Helper()
	b, err := cert.Parse("test", pem)
	if err != nil {
		t.Fatal(err)
	}
	return b.OCSPRequest()
}

// TestThreat_T08: what a responder can do wrong changes nothing of what is sent, and is told with HAProxy's numbers.
func TestThreat_T08(t *testing.T) {
	for _, c := range []struct {
		manner gatetest.Manner
		line   string // behind the name
		served bool   // the new response is sent
	}{
		{gatetest.Honest, `1 "Update successful" 0 2`, true},
		{gatetest.Delegated, `1 "Update successful" 0 2`, true},
		{gatetest.WithNonce, `1 "Update successful" 0 2`, true},
		{gatetest.PostOnly, `1 "Update successful" 0 2`, true},
		{gatetest.SayRevoked, `1 "Update successful" 0 2`, true},
		{gatetest.Refusing, `2 "HTTP error (connection refused)" 1 1`, false},
		{gatetest.SilentForever, `2 "HTTP error (no answer within 15s)" 1 1`, false},
		{gatetest.HalfAnswer, `2 "HTTP error (no answer within 15s)" 1 1`, false},
		{gatetest.Gone, `2 "HTTP error (status 404)" 1 1`, false},
		{gatetest.Broken, `2 "HTTP error (status 500)" 1 1`, false},
		{gatetest.Redirects, `2 "HTTP error (status 302)" 1 1`, false},
		{gatetest.HTML, `3 "Missing "ocsp-response" header" 1 1`, false},
		{gatetest.Garbage, `4 "OCSP response check failure (Unable to parse OCSP response)" 1 1`, false},
		{gatetest.Huge, `4 "OCSP response check failure (longer than 65536 bytes)" 1 1`, false},
		{gatetest.TryLater, `4 "OCSP response check failure (OCSP response status not successful)" 1 1`, false},
		{gatetest.SeveralSingle, `4 "OCSP response check failure (OCSP response ignored because contains multiple single responses (2))" 1 1`, false},
		{gatetest.WrongSigner, `4 "OCSP response check failure (OCSP response: the signature is not that of the issuer or of a responder it authorised)" 1 1`, false},
		{gatetest.NoPurpose, `4 "OCSP response check failure (OCSP response: the signature is not that of the issuer or of a responder it authorised)" 1 1`, false},
		{gatetest.BadSignature, `4 "OCSP response check failure (OCSP response: the signature is not that of the issuer or of a responder it authorised)" 1 1`, false},
		{gatetest.SayUnknown, `5 "Error during insertion (OCSP single response: certificate status is unknown)" 1 1`, false},
		{gatetest.NoNext, `5 "Error during insertion (OCSP single response: missing nextupdate)" 1 1`, false},
		{gatetest.SaidExpired, `5 "Error during insertion (OCSP single response: no longer valid)" 1 1`, false},
		{gatetest.NotYet, `5 "Error during insertion (OCSP single response: no longer valid)" 1 1`, false},
		{gatetest.OtherSerial, `5 "Error during insertion (OCSP single response: Certificate ID does not match certificate and issuer)" 1 1`, false},
		{gatetest.OtherIssuer, `5 "Error during insertion (OCSP single response: Certificate ID does not match certificate and issuer)" 1 1`, false},
	} {
		t.Run(fmt.Sprintf("manner=%s", c.manner), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.issue("a.pem", server)
				w.start()
				old := w.staple("a.pem")
				w.logged()
				w.ca.Be(c.manner)
				pass(time.Hour + fetchTimeout + time.Second)
				if served := !bytes.Equal(w.staple("a.pem"), old); served != c.served {
					t.Errorf("another response is sent: %v, want %v", served, c.served)
				}
				w.wants("notice <OCSP-UPDATE> a.pem " + c.line)
				w.ca.Be(gatetest.Honest)
				pass(2 * time.Hour)
				if bytes.Equal(w.staple("a.pem"), old) || w.staple("a.pem") == nil {
					t.Error("no new response after the responder behaved again")
				}
			})
		})
	}
}

// TestThreat_T08_Race: handshakes read what is stapled while it is replaced, by hand, by the updater and by commits; each sees a whole response that
// belongs to the certificate it looked at.
func TestThreat_T08_Race(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.settings.Delays = Delays{time.Second, 2 * time.Second}
		name := w.issue("a.pem", server)
		w.start()
		pems := make([][]byte, 4)
		for i := range pems {
			var err error
			if pems[i], err = w.ca.Issue(server, "a"); err != nil {
				t.Fatal(err)
			}
		}
		end := make(chan struct{})
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for {
					select {
					case <-end:
						return
					case <-time.After(50 * time.Millisecond):
					}
					b := w.store.Bundle(name)
					der := b.Staple(time.Now())
					if der == nil {
						continue
					}
					r, err := cert.ParseOCSP(der)
					if err == nil {
						err = b.CheckOCSP(r, time.Now())
					}
					if err != nil {
						t.Errorf("a handshake would send a response that is none for it: %v", err)
						return
					}
				}
			})
		}
		for i := range 60 {
			if _, _, err := w.store.Set(name, pems[i%len(pems)], "test"); err != nil {
				t.Fatal(err)
			}
			if _, err := w.store.Commit(name, "test", nil); err != nil {
				t.Fatal(err)
			}
			_ = w.u.Ask(name) // there may be no response yet
			w.u.Rows()
			pass(time.Second)
		}
		pass(time.Minute)
		if w.staple("a.pem") == nil {
			t.Error("in the end there is no response")
		}
		close(end)
		readers.Wait()
		w.stop()
	})
}
