package ocsp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/gatetest"
)

const server = "http://ocsp.test"

func TestAResponseIsFetchedKeptAndRefreshed(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.issue("a.pem", server)
		w.issue("none.pem", "")
		w.start()
		first := w.staple("a.pem")
		if first == nil || w.staple("none.pem") != nil {
			t.Fatal("a.pem has no response, or a certificate without responder has one")
		}
		w.wants(`notice <OCSP-UPDATE> a.pem 1 "Update successful" 0 1`)
		rows := w.u.Rows()
		if len(rows) != 1 || time.Until(rows[0].Next) != time.Hour || rows[0].Status != OK || !rows[0].Last.Equal(time.Now()) {
			t.Fatalf("rows %+v", rows)
		}
		pass(time.Hour - time.Second)
		if n := len(w.ca.Asked()); n != 1 {
			t.Errorf("asked %d times within the hour", n)
		}
		pass(2 * time.Second)
		if second := w.staple("a.pem"); bytes.Equal(first, second) || second == nil {
			t.Error("after an hour the response is the first one")
		}
		w.wants(`notice <OCSP-UPDATE> a.pem 1 "Update successful" 0 2`)
		// it survives a restart, and nobody is asked sooner for that
		kept := w.staple("a.pem")
		w.stop()
		w.ca.Be(gatetest.Refusing)
		w.start()
		if !bytes.Equal(w.staple("a.pem"), kept) || len(w.ca.Asked()) != 2 {
			t.Errorf("after a restart: asked %d times, response is kept: %v", len(w.ca.Asked()), bytes.Equal(w.staple("a.pem"), kept))
		}
		// and not its end
		pass(25 * time.Hour)
		if w.staple("a.pem") != nil {
			t.Error("a response is sent after its end")
		}
	})
}

func TestShortResponsesAreAskedForBeforeTheirEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.ca.Last(36 * time.Minute) // sent for 31 minutes
		w.issue("a.pem", server)
		w.start()
		for range 200 {
			if w.staple("a.pem") == nil {
				t.Fatal("a handshake goes without response")
			}
			pass(time.Minute)
		}
		if n := len(w.ca.Asked()); n != 7 { // at 0, 30, ..., 180 minutes
			t.Errorf("asked %d times in 200 minutes", n)
		}
	})
}

func TestASilentResponderDelaysOnlyItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		silent, err := gatetest.NewResponder()
		if err != nil {
			t.Fatal(err)
		}
		silent.Be(gatetest.SilentForever)
		w.put("silent.test", silent)
		for _, f := range []string{"a.pem", "b.pem", "c.pem"} {
			w.issue(f, "http://silent.test/")
		}
		w.issue("d.pem", server)
		began := time.Now()
		w.start()
		if w.staple("d.pem") == nil || !time.Now().Equal(began) {
			t.Error("one silent responder holds up the certificates of another")
		}
		w.wants(`notice <OCSP-UPDATE> d.pem 1 "Update successful" 0 1`)
		pass(fetchTimeout + time.Second)
		w.wants(`notice <OCSP-UPDATE> a.pem 2 "HTTP error (no answer within 15s)" 1 0`)
		pass(10 * time.Hour)
		for _, line := range w.logged() {
			if !strings.Contains(line, "d.pem") {
				t.Errorf("an outage is told of again: %s", line)
			}
		}
		if w.kinds(event.OCSPDown) != 1 || w.kinds(event.OCSPUp) != 0 {
			t.Errorf("the outage was told of %d times, its end %d times", w.kinds(event.OCSPDown), w.kinds(event.OCSPUp))
		}
		if n := len(silent.Asked()); n > 16 {
			t.Errorf("a silent responder was asked %d times in ten hours", n)
		}
		w.put("silent.test", w.ca)
		pass(time.Hour)
		for _, f := range []string{"a.pem", "b.pem", "c.pem"} {
			if w.staple(f) == nil {
				t.Errorf("%s has no response an hour after its responder came back", f)
			}
		}
		if w.kinds(event.OCSPUp) != 1 {
			t.Errorf("the end of the outage was told of %d times", w.kinds(event.OCSPUp))
		}
	})
}

func TestACommittedCertificateIsAskedAboutAnew(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		name := w.issue("a.pem", server)
		w.start()
		old := w.staple("a.pem")
		before, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		commit := func(pem []byte) {
			t.Helper()
			if _, _, err := w.store.Set(name, pem, "test"); err != nil {
				t.Fatal(err)
			}
			if _, err := w.store.Commit(name, "test", nil); err != nil {
				t.Fatal(err)
			}
		}
		commit(before)
		if !bytes.Equal(w.staple("a.pem"), old) {
			t.Error("the same certificate committed again loses its response")
		}
		w.ca.Be(gatetest.SilentForever)
		next, err := w.ca.Issue(server, "a.pem")
		if err != nil {
			t.Fatal(err)
		}
		commit(next)
		if w.staple("a.pem") != nil {
			t.Fatal("the response of another certificate is sent")
		}
		w.ca.Be(gatetest.Honest)
		pass(time.Hour)
		if w.staple("a.pem") == nil || bytes.Equal(w.staple("a.pem"), old) {
			t.Error("a committed certificate has no response of its own")
		}
	})
}

func TestResponsesAreAskedForByHand(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a, b := w.issue("a.pem", server), w.issue("b.pem", server)
		w.ca.Last(2 * time.Hour)
		w.start()
		if err := os.WriteFile(a+".ocsp", w.staple("a.pem"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.stop()
		w.mode = false
		w.start()
		if w.staple("a.pem") == nil || w.staple("b.pem") != nil {
			t.Error("without ocsp-update, only what has a file is stapled")
		}
		w.logged()
		if len(w.u.Rows()) != 0 {
			t.Errorf("without ocsp-update there are %v", w.u.Rows())
		}
		for of, want := range map[string]string{
			"x": "Unknown certificate! 'update ssl ocsp-response' expects an already known certificate file name.\nCan't send ocsp request for x!",
			b:   "'update ssl ocsp-response' only works on certificates that already have a known OCSP response.\nCan't send ocsp request for " + b + "!",
		} {
			if err := w.u.Ask(of); err == nil || err.Error() != want {
				t.Errorf("asking for %s: %v, want %s", of, err, want)
			}
		}
		asked := len(w.ca.Asked())
		pass(10 * time.Hour)
		if w.staple("a.pem") != nil || len(w.ca.Asked()) != asked {
			t.Fatal("a response was asked for without ocsp-update")
		}
		if err := w.u.Ask(a); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if w.staple("a.pem") == nil {
			t.Error("the response that was asked for is not sent")
		}
		w.wants(`notice <OCSP-UPDATE> a.pem 1 "Update successful" 0 1`)
		pass(3 * time.Hour)
		if len(w.ca.Asked()) != asked+1 || len(w.u.Rows()) != 0 {
			t.Errorf("asked %d times more, rows %v", len(w.ca.Asked())-asked, w.u.Rows())
		}
	})
}

func TestDisableAsksNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.settings.Disable = true
		w.issue("a.pem", server)
		w.start()
		pass(5 * time.Hour)
		if len(w.ca.Asked()) != 0 || len(w.u.Rows()) != 0 {
			t.Errorf("asked %v, rows %v", w.ca.Asked(), w.u.Rows())
		}
		w.settings.Disable = false
		w.u.Update(w.settings)
		synctest.Wait()
		if w.staple("a.pem") == nil {
			t.Error("after disable off there is no response")
		}
	})
}

func TestAFullDiskKeepsTheResponseBefore(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.issue("a.pem", server)
		w.start()
		old := w.staple("a.pem")
		kept := filepath.Join(w.dir, "state", "ocsp")
		if err := os.RemoveAll(kept); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(kept, nil, 0o600); err != nil { // nothing can be made below it
			t.Fatal(err)
		}
		w.logged()
		pass(time.Hour + time.Second)
		if !bytes.Equal(w.staple("a.pem"), old) {
			t.Error("a response is sent that is not durable")
		}
		if got := w.logged(); len(got) != 1 || !strings.HasPrefix(got[0], `notice <OCSP-UPDATE> a.pem 5 "Error during insertion (cannot make '`) {
			t.Errorf("log has %q", got)
		}
	})
}

func TestLongRequestsArePosted(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.issue("a.pem", server+"/"+strings.Repeat("x", 200))
		w.start()
		if got := w.ca.Asked(); len(got) != 1 || got[0] != http.MethodPost || w.staple("a.pem") == nil {
			t.Errorf("asked with %v", got)
		}
		w.ca.Be(gatetest.PostOnly)
		w.issue("b.pem", server)
		w.stop()
		w.start()
		if got := w.ca.Asked(); len(got) != 3 || got[1] != http.MethodGet || got[2] != http.MethodPost || w.staple("b.pem") == nil {
			t.Errorf("a responder that does not take GET was asked with %v", got)
		}
	})
}

// TestRequestsGoOverTheWire: the transport of our own, with and without proxy.
func TestRequestsGoOverTheWire(t *testing.T) {
	ca, err := gatetest.NewResponder()
	if err != nil {
		t.Fatal(err)
	}
	var target string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target = r.RequestURI
		if strings.HasPrefix(target, "http://ocsp.test/") {
			r.URL.Path = strings.TrimPrefix(r.URL.Path, "/")
		}
		ca.ServeHTTP(w, r)
	}))
	defer srv.Close()
	pem, err := ca.Issue(srv.URL, "a")
	if err != nil {
		t.Fatal(err)
	}
	q := question{srv.URL, requestFor(t, pem)}
	for _, c := range []struct{ proxy, server, prefix string }{{"", srv.URL, "/M"}, {srv.Listener.Addr().String(), "http://ocsp.test", "http://ocsp.test/M"}} {
		q.server = c.server
		body, err := q.ask(context.Background(), newTransport(c.proxy, nil), "gatehouse/test")
		if err != nil || len(body) == 0 || !strings.HasPrefix(target, c.prefix) {
			t.Errorf("through proxy %q: %d bytes, %v, asked for %s", c.proxy, len(body), err, target)
		}
	}
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	q.server = "http://ocsp.test:" + port
	lookup := func(_ context.Context, name string) ([]netip.Addr, error) {
		if name != "ocsp.test" {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	if body, err := q.ask(context.Background(), newTransport("", lookup), "x"); err != nil || len(body) == 0 {
		t.Errorf("a name that is looked up: %d bytes, %v", len(body), err)
	}
	q.server = "http://other.test:" + port
	if _, err := q.ask(context.Background(), newTransport("", lookup), "x"); err == nil || !strings.Contains(err.Error(), "HTTP error (looking up other.test: no such host)") {
		t.Errorf("a name that is not there: %v", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	q.server = "http://" + ln.Addr().String()
	var f *Failure
	if _, err := q.ask(context.Background(), newTransport("", nil), "x"); !errors.As(err, &f) || f.Status != HTTPError || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("nobody there: %v", err)
	}
}
