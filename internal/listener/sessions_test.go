package listener

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/cert"
)

func TestSessionsAreBoundToContextTimeAndRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewSessions()
		id := c.keep([]byte("state"), []byte("here"))
		if len(id) != 32 || string(c.find(id, []byte("here"))) != "state" {
			t.Fatal("a session was not found again")
		}
		for _, bad := range [][]byte{nil, id[:31], append([]byte{id[0] ^ 1}, id[1:]...)} {
			if c.find(bad, []byte("here")) != nil {
				t.Errorf("%x was found", bad)
			}
		}
		if c.find(id, []byte("elsewhere")) != nil {
			t.Error("found in another context")
		}
		if lookups, misses := c.Counts(); lookups != 5 || misses != 4 {
			t.Errorf("%d lookups, %d misses; want 5 and 4", lookups, misses)
		}
		time.Sleep(DefaultSessionLife + time.Second)
		if c.find(id, []byte("here")) != nil {
			t.Error("found after its life")
		}
		c.SetLimits(sessionShards*3, time.Hour)
		var ids [][]byte
		for range 4000 {
			ids = append(ids, c.keep(make([]byte, sessionBlock), nil))
			c.find(ids[0], nil) // never idle
		}
		left := 0
		for _, id := range ids {
			if c.find(id, nil) != nil {
				left++
			}
		}
		if left > sessionShards*3 || left < sessionShards*2 || c.find(ids[0], nil) == nil {
			t.Errorf("%d sessions in room for %d, the busy one is there: %v", left, sessionShards*3, c.find(ids[0], nil) != nil)
		}
		if id := c.keep(make([]byte, 4*sessionBlock), nil); c.find(id, nil) != nil {
			t.Error("a session that is larger than a shard was kept")
		}
		c.SetLimits(0, time.Hour)
		if c.find(ids[0], nil) != nil || c.On() {
			t.Error("no room, and still a session")
		}
	})
}

// TestWithoutTicketsNothingToDecipherLeaves: under no-tls-tickets the client gets a number, and resumes by it.
func TestWithoutTicketsNothingToDecipherLeaves(t *testing.T) {
	off := false
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, room := range []int{DefaultSessions, 0} {
			ca := newAuthority(t, "ca")
			sessions := NewSessions()
			sessions.SetLimits(room, DefaultSessionLife)
			r := start(t, Options{TLS: &cert.Options{TLSTickets: &off}, Index: index(false, ca.bundle(t, "a.test")), Tickets: NewTickets(), Sessions: sessions})
			cache := new(oneCache)
			for i := range 3 {
				state, err := r.shakeHands(t, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: cache, MaxVersion: version})
				if err != nil || state.DidResume != (i > 0 && room > 0) {
					t.Errorf("%x, room for %d, handshake %d: resumed %v, %v", version, room, i, state.DidResume, err)
				}
				<-r.served
			}
			if room == 0 {
				if cache.s != nil {
					t.Error("something was sent although nothing is kept")
				}
				continue
			}
			if ticket, _, err := cache.s.ResumptionState(); err != nil || len(ticket) != 32 {
				t.Errorf("the client was given %d bytes, want a number of 32: %v", len(ticket), err)
			}
		}
	}
}

// keyFile is a tls-ticket-keys file with n keys, and its lines decoded.
func keyFile(n, size int) (file string, keys [][]byte) {
	for range n {
		key := make([]byte, size)
		rand.Read(key)
		keys = append(keys, key)
		file += base64.StdEncoding.EncodeToString(key) + "\n"
	}
	return file, keys
}

func TestTicketKeysOfAFile(t *testing.T) {
	process := NewTickets()
	for _, size := range []int{48, 80} {
		file, keys := keyFile(4, size)
		one, err := process.FromFile([]byte(strings.ReplaceAll(file, "\n", "\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(one.Keys()); got != fmt.Sprint(keys[1:]) {
			t.Errorf("keys %s, want the last three", got)
		}
		two, err := process.FromFile([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		ticket := one.keep([]byte("state"), []byte("here"))
		if string(ticket[:16]) != string(keys[2][:16]) {
			t.Error("the penultimate key does not encrypt")
		}
		if string(two.find(ticket, []byte("here"))) != "state" || two.find(ticket, []byte("elsewhere")) != nil {
			t.Error("another process with the same file takes the ticket, in its context only")
		}
		_, more := keyFile(3, size)
		for i, key := range more {
			if got := string(two.find(ticket, []byte("here"))); (got == "state") != (i < 2) {
				t.Errorf("after %d rotations: %q", i, got)
			}
			if err := two.Rotate(key); err != nil {
				t.Fatal(err)
			}
		}
		if two.find(ticket, []byte("here")) != nil {
			t.Error("a dropped key is taken")
		}
		if err := two.Rotate(make([]byte, 128-size)); !errors.Is(err, ErrKeySize) {
			t.Errorf("a key of the other size: %v", err)
		}
	}
	long, _ := keyFile(3, 80)
	short, _ := keyFile(1, 48)
	for file, want := range map[string]string{
		"":                                     "please supply at least 3 keys in the tls-tickets-file",
		long[:2*len(long)/3]:                   "please supply at least 3 keys in the tls-tickets-file",
		long + short:                           "wrong sized key on line 4",
		"AAAA\n" + long:                        "wrong sized key on line 1",
		long + "??\n":                          "unable to decode base64 key on line 4",
		strings.Repeat("A", 400) + "\n" + long: "unable to decode base64 key on line 1",
	} {
		if _, err := process.FromFile([]byte(file)); err == nil || err.Error() != want {
			t.Errorf("%.20q...: %v, want %s", file, err, want)
		}
	}
}

func TestTicketsOfAFileLiveAsLongAsTheyAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		process := NewTickets()
		file, _ := keyFile(3, 80)
		f, err := process.FromFile([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		ticket := f.keep([]byte("state"), nil)
		time.Sleep(100 * time.Hour)
		if f.find(ticket, nil) == nil {
			t.Error("without tune.ssl.lifetime only the key limits a ticket")
		}
		process.SetLifetime(time.Hour)
		if f.find(ticket, nil) != nil {
			t.Error("taken after its life")
		}
		for _, k := range []*Tickets{f, process} {
			ticket = k.keep([]byte("state"), nil)
			time.Sleep(time.Hour)
			if k.find(ticket, nil) == nil {
				t.Error("not taken within its life")
			}
			time.Sleep(2 * time.Second)
			if k.find(ticket, nil) != nil {
				t.Error("taken after its life")
			}
		}
	})
}
