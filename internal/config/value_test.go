package config

import (
	"errors"
	"testing"
	"time"
)

func TestTimes(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		text string
		unit time.Duration
		want time.Duration
	}{
		{"0", ms, 0}, {"5000", ms, 5 * time.Second}, {"5s", ms, 5 * time.Second}, {"1m", ms, time.Minute}, {"2h", ms, 2 * time.Hour},
		{"1d", ms, 24 * time.Hour}, {"10ms", ms, 10 * ms}, {"1us", ms, ms}, {"1500us", ms, 2 * ms}, {"300", time.Second, 300 * time.Second},
		{"1500ms", time.Second, 2 * time.Second}, {"2147483647", ms, 2147483647 * ms},
	} {
		if got, err := ParseTime(c.text, c.unit); err != nil || got != c.want {
			t.Errorf("ParseTime(%q, %v) = %v, %v; want %v", c.text, c.unit, got, err, c.want)
		}
	}
	for text, char := range map[string]byte{"": 0, "x": 'x', "5x": 'x', "-1": '-', "1.5s": '.', "5 s": ' ', "5ss": 's', "5mx": 'x'} {
		_, err := ParseTime(text, ms)
		var ce *CharError
		if !errors.As(err, &ce) || ce.Char() != char {
			t.Errorf("ParseTime(%q) error = %v, want character %q", text, err, char)
		}
	}
	for _, text := range []string{"2147483648", "25d", "99999999999999999999999", "9999999999999h"} {
		if _, err := ParseTime(text, ms); err != ErrTimeOver {
			t.Errorf("ParseTime(%q) error = %v, want %v", text, err, ErrTimeOver)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "16384": 16384, "64k": 64 << 10, "1M": 1 << 20, "3g": 3 << 30, "4294967295": 4294967295} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "k", "1x", "1kb", "-1", "4294967296", "4g", "99999999999999999999"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestNearestSuggestsAsHAProxy(t *testing.T) {
	tb := newTables()
	for _, c := range []struct {
		word string
		t    *table
		in   Place
		want string
	}{
		{"bindx", tb.proxy, 0, "bind"}, {"foo", tb.bind, 0, "tfo"}, {"maxcon", tb.global, InGlobal, "maxconn"}, {"chrot", tb.global, InGlobal, "chroot"},
		{"httplogx", tb.option, 0, "httplog"}, {"bogus", tb.server, 0, ""}, {"zzzzzzzz", tb.proxy, 0, ""}, {"", tb.proxy, 0, ""},
	} {
		if got := c.t.nearest(c.word, c.in); got != c.want {
			t.Errorf("nearest(%q) = %q, want %q", c.word, got, c.want)
		}
	}
}
