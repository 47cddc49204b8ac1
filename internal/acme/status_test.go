package acme_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/acme"
	"gatehouse/internal/cert"
	"gatehouse/internal/certstore"
	"gatehouse/internal/event"
	"gatehouse/internal/gatetest"
)

func TestStatusLine(t *testing.T) {
	now := time.Date(2026, 6, 3, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		row  acme.Row
		want string
	}{
		{acme.Row{Certificate: "a.pem", Section: "le", State: "Scheduled", Expires: now.Add(80*24*time.Hour + 3*time.Hour + 5*time.Minute + 9*time.Second), Scheduled: now.Add(time.Hour)},
			"a.pem\tle\tScheduled\t2026-08-22T15:05:09Z\t80d 3h05m09s\t2026-06-03T13:00:00Z\t0d 1h00m00s"},
		{acme.Row{Certificate: "b.pem", Section: "le", State: "Stopped", Expires: now.Add(-time.Hour)},
			"b.pem\tle\tStopped\t2026-06-03T11:00:00Z\t0d 0h00m00s\t-\t-"},
		{acme.Row{Certificate: "c.pem", Section: "le", State: "Stopped"}, "c.pem\tle\tStopped\t-\t-\t-\t-"},
	} {
		if got := c.row.Line(now); got != c.want {
			t.Errorf("%+v\n got %q\nwant %q", c.row, got, c.want)
		}
	}
	if got := strings.Count(acme.StatusHeader, "\t"); got != 6 {
		t.Errorf("the header has %d tabs, want 6", got)
	}
}

func TestStatusFollowsTheCertificate(t *testing.T) {
	before(t, gatetest.CAOptions{Processing: 5}, func(t *testing.T, w *world) {
		w.start()
		time.Sleep(3 * time.Second)
		if row := w.m.Status()[0]; row.State != "Running" || !row.Temporary || row.Section != "le" {
			t.Errorf("while the order is open: %+v", row)
		}
		b := w.issued("site.pem", time.Minute)
		time.Sleep(time.Second)
		row := w.m.Status()[0]
		if row.State != "Scheduled" || row.Temporary || !row.Expires.Equal(b.NotAfter) {
			t.Errorf("after it: %+v", row)
		}
		if want := acme.RenewAt(b.NotBefore, b.NotAfter, b.Fingerprint); !row.Scheduled.Equal(want) {
			t.Errorf("scheduled at %s, want %s", row.Scheduled, want)
		}
	})
}

func TestRenewTexts(t *testing.T) {
	in(t, gatetest.CAOptions{Processing: 5}, func(t *testing.T, w *world) {
		plain, err := cert.NewTemporary()
		if err != nil {
			t.Fatal(err)
		}
		w.issued("site.pem", time.Minute)
		time.Sleep(time.Second)
		w.manage("empty.pem")
		w.shelf.plain = map[string]*cert.Bundle{"plain.pem": plain}
		if err := w.m.Renew("site.pem"); err != nil {
			t.Fatalf("renew: %v", err)
		}
		for _, c := range []struct{ name, want string }{
			{"none.pem", "Can't find the certificate 'none.pem'."},
			{"plain.pem", "No ACME configuration defined for file 'plain.pem'."},
			{"site.pem", "Task already exists for 'site.pem' certificate.\nCan't start the ACME client."},
			{"empty.pem", "No 'domains' or 'ips' were configured for certificate. \nCan't start the ACME client."},
		} {
			if err := w.m.Renew(c.name); err == nil || err.Error() != c.want {
				t.Errorf("renew %s: %q, want %q", c.name, err, c.want)
			}
		}
		time.Sleep(time.Minute)
		if w.ca.Issued() != 2 {
			t.Errorf("%d certificates, want 2: the first and the renewal", w.ca.Issued())
		}
	})
}

// TestRenewDoesNotWaitForTheBackOff: an operator who has mended something need not wait.
func TestRenewDoesNotWaitForTheBackOff(t *testing.T) {
	in(t, gatetest.CAOptions{OrderInvalid: true}, func(t *testing.T, w *world) {
		time.Sleep(5 * time.Hour)
		w.ca.Change(func(o *gatetest.CAOptions) { o.OrderInvalid = false })
		if err := w.m.Renew("site.pem"); err != nil {
			t.Fatal(err)
		}
		w.issued("site.pem", 20*time.Second)
	})
}

func TestSchedulerOff(t *testing.T) {
	before(t, gatetest.CAOptions{}, func(t *testing.T, w *world) {
		w.conf.Global.ACMEScheduler = false
		w.start()
		time.Sleep(24 * time.Hour)
		if n := w.ca.Requests(""); n != 0 {
			t.Errorf("%d requests although the scheduler is off", n)
		}
		if row := w.m.Status()[0]; row.State != "Stopped" || !row.Scheduled.IsZero() {
			t.Errorf("status %+v, want Stopped and no date", row)
		}
		if err := w.m.Renew("site.pem"); err != nil {
			t.Fatal(err)
		}
		w.issued("site.pem", time.Minute)
	})
}

// TestCertificateThatIsNotManagedAnyMore: its open order stops, and it is renewed no more.
func TestCertificateThatIsNotManagedAnyMore(t *testing.T) {
	in(t, gatetest.CAOptions{Processing: 1000}, func(t *testing.T, w *world) {
		time.Sleep(time.Minute)
		w.shelf.mu.Lock()
		w.shelf.certs = map[string]certstore.Managed{}
		w.shelf.mu.Unlock()
		w.m.Wake()
		time.Sleep(time.Minute)
		requests := w.ca.Requests("")
		time.Sleep(24 * time.Hour)
		if n := w.ca.Requests("") - requests; n != 0 {
			t.Errorf("%d requests for a certificate that nobody wants", n)
		}
		if w.count(event.OrderFailed) != 0 {
			t.Errorf("stopping an order counts as failure:\n%s", w.log())
		}
	})
}

// TestNewNamesAreOrderedAtOnce: a name added to the configuration does not wait for the next renewal, and an old failure of other names does not
// hold it up.
func TestNewNamesAreOrderedAtOnce(t *testing.T) {
	in(t, gatetest.CAOptions{}, func(t *testing.T, w *world) {
		b := w.issued("site.pem", time.Minute)
		w.manage("site.pem", "a.example", "new.example")
		w.shelf.mu.Lock()
		c := w.shelf.certs["site.pem"]
		c.Bundle = b
		w.shelf.certs["site.pem"] = c
		w.shelf.mu.Unlock()
		w.m.Wake()
		time.Sleep(30 * time.Second)
		w.check(w.shelf.Bundle("site.pem"), "a.example", "new.example")
	})
}

func TestReuseKey(t *testing.T) {
	for _, reuse := range []bool{true, false} {
		before(t, gatetest.CAOptions{}, func(t *testing.T, w *world) {
			w.conf.ACMEs[0].ReuseKey = reuse
			w.start()
			first := w.issued("site.pem", time.Minute)
			time.Sleep(time.Second)
			if err := w.m.Renew("site.pem"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			second := w.shelf.Bundle("site.pem")
			if second.Fingerprint == first.Fingerprint {
				t.Fatal("not renewed")
			}
			if second.SameKey(first) != reuse {
				t.Errorf("reuse-key %v: same key %v", reuse, second.SameKey(first))
			}
		})
	}
}

// TestStateStoreThatFails: without a durable journal nothing is ordered, and it is said.
func TestStateStoreThatFails(t *testing.T) {
	before(t, gatetest.CAOptions{}, func(t *testing.T, w *world) {
		w.stateErr = errors.New("read-only file system")
		w.start()
		time.Sleep(10 * time.Minute)
		if w.ca.Orders() != 0 {
			t.Errorf("%d orders without a journal", w.ca.Orders())
		}
		w.wantLog("err acme: no certificate can be ordered: read-only file system")
		w.mu.Lock()
		w.stateErr = nil
		w.mu.Unlock()
		w.issued("site.pem", 2*time.Minute)
	})
}
