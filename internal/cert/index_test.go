package cert

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

func entry(name string, filters ...string) *Entry {
	e := &Entry{Name: name}
	for _, f := range filters {
		e.Filters = append(e.Filters, Filter(f))
	}
	return e
}

// expect is what surface 2.5 says, written the slow way.
func expect(entries []*Entry, strict bool, sni string, caps Caps) *Entry {
	sni = strings.ToLower(sni)
	choose := func(passes ...func(e *Entry) bool) *Entry {
		var first [3]*Entry
		for _, matches := range passes {
			for _, e := range entries {
				if k := e.Instance().Bundle.KeyType; first[k] == nil && matches(e) {
					first[k] = e
				}
			}
		}
		for _, k := range []struct {
			ok   bool
			kind KeyType
		}{{caps.ECDSA, KeyECDSA}, {caps.RSA, KeyRSA}, {true, KeyOther}, {true, KeyECDSA}, {true, KeyRSA}} {
			if k.ok && first[k.kind] != nil {
				return first[k.kind]
			}
		}
		return nil
	}
	names := func(e *Entry) []string {
		if len(e.Filters) == 0 {
			return e.Instance().Bundle.Names
		}
		var list []string
		for _, f := range e.Filters {
			list = append(list, strings.ToLower(string(f)))
		}
		return list
	}
	if sni != "" {
		_, rest, dot := strings.Cut(sni, ".")
		exact := func(e *Entry) bool { return slices.Contains(names(e), sni) }
		wild := func(e *Entry) bool {
			return dot && slices.Contains(names(e), "*."+rest) && !slices.Contains(names(e), "!"+sni)
		}
		if e := choose(exact, wild); e != nil {
			return e
		}
	}
	if strict {
		return nil
	}
	return choose(func(e *Entry) bool { return e.Default || slices.Contains(names(e), "*") })
}

// TestSelectFollowsHAProxy compares with the slow way while entries come, change and go.
func TestSelectFollowsHAProxy(t *testing.T) {
	words := []string{"a.x", "b.x", "*.x", "*", "!a.x", "A.X", "c", "x", "*.b.x", "a.b.x", "!*", "!b.x"}
	var bundles []*Bundle
	for i, kind := range []KeyType{KeyECDSA, KeyRSA, KeyOther, KeyECDSA, KeyRSA} {
		bundles = append(bundles, bundleFor(t, kind, [][]string{{"a.x"}, {"a.x", "*.x"}, {"*.x", "c"}, {"*.b.x", "x"}, {"b.x"}}[i]...))
	}
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 3))
		strict := seed%2 == 0
		x := NewIndex(strict)
		var entries []*Entry
		for range 60 {
			b := bundles[random.IntN(len(bundles))]
			switch n := random.IntN(4); {
			case n == 0 && len(entries) > 0:
				i := random.IntN(len(entries))
				x.Remove(entries[i])
				entries = slices.Delete(entries, i, i+1)
			case n == 1 && len(entries) > 0:
				x.Update(entries[random.IntN(len(entries))], b)
			default:
				var filters []string
				for range random.IntN(4) {
					filters = append(filters, words[random.IntN(len(words))])
				}
				e := entry("e", filters...)
				e.Default = random.IntN(8) == 0
				x.Add(e, b)
				entries = append(entries, e)
			}
			if got := x.Entries(); !slices.Equal(got, entries) {
				t.Fatalf("seed %d: the entries are not those added, in order", seed)
			}
			for _, sni := range []string{"", "a.x", "B.x", "c", "x", "z.x", "a.b.x", "z.b.x", "none.y", "*.x", "*", ".x", strings.Repeat("n", 300) + ".x"} {
				if len(sni) > maxName || strings.HasPrefix(sni, "*") {
					continue
				}
				for _, caps := range []Caps{{true, true}, {true, false}, {false, true}, {}} {
					if got, want := x.Select(sni, caps), expect(entries, strict, sni, caps); got != want {
						t.Fatalf("seed %d: Select(%q, %+v) = %v, want %v", seed, sni, caps, describe(got), describe(want))
					}
				}
			}
		}
	}
}

func describe(e *Entry) string {
	if e == nil {
		return "nothing"
	}
	return fmt.Sprintf("%v of kind %v, filters %q, default %v", e.Instance().Bundle.Names, e.Instance().Bundle.KeyType, e.Filters, e.Default)
}

func TestAWildcardECDSABeatsAnExactRSA(t *testing.T) {
	x := NewIndex(true)
	exact, wild := entry("rsa"), entry("ecdsa")
	x.Add(exact, bundleFor(t, KeyRSA, "www.a.example"))
	x.Add(wild, bundleFor(t, KeyECDSA, "*.a.example"))
	if got := x.Select("WWW.a.example", Caps{ECDSA: true, RSA: true}); got != wild {
		t.Errorf("a client with ECDSA gets %s", describe(got))
	}
	if got := x.Select("www.a.example", Caps{RSA: true}); got != exact {
		t.Errorf("a client without ECDSA gets %s", describe(got))
	}
}

func TestStrangeServerNamesFindNoWildcardByTheirStar(t *testing.T) {
	x := NewIndex(true)
	x.Add(entry("w", "*.a", "*"), bundleFor(t, KeyECDSA, "x"))
	for _, sni := range []string{"*", "", strings.Repeat("a", 300), strings.Repeat("a", 300) + ".a", "..", "a.b.a"} {
		if got := x.Select(sni, Caps{ECDSA: true}); got != nil {
			t.Errorf("Select(%q) = %s, want nothing", sni, describe(got))
		}
	}
}

// TestReadersNeverSeeHalfAnUpdate has handshakes select while a certificate changes between two sets of names.
func TestReadersNeverSeeHalfAnUpdate(t *testing.T) {
	a, b := bundleFor(t, KeyECDSA, "both.x", "a.x"), bundleFor(t, KeyECDSA, "both.x", "b.x")
	x := NewIndex(true)
	e := entry("e")
	x.Add(e, a)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				got := x.Select("both.x", Caps{ECDSA: true})
				if got != e {
					t.Error("the name that both versions have was not found")
					return
				}
				if v := got.Instance().Bundle; v != a && v != b {
					t.Error("a bundle that nobody added")
					return
				}
				x.Select("a.x", Caps{ECDSA: true})
			}
		})
	}
	for i := range 2000 {
		x.Update(e, []*Bundle{b, a}[i%2])
		if i%100 == 0 {
			other := entry("o", fmt.Sprintf("n%d.x", i))
			x.Add(other, a)
		}
	}
	close(done)
	wg.Wait()
	if x.Select("b.x", Caps{}) != nil || x.Select("a.x", Caps{}) != e {
		t.Error("after the last update the names are not those of the certificate")
	}
}

func fill(tb testing.TB, n int) (*Index, []string) {
	tb.Helper()
	x := NewIndex(true)
	b := bundleFor(tb, KeyECDSA, "x")
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("host%d.example.com", i)
		x.Add(entry(names[i], names[i], fmt.Sprintf("*.w%d.example.com", i)), b)
	}
	return x, names
}

func TestSelectAllocatesNothing(t *testing.T) {
	x, _ := fill(t, 1000)
	for _, sni := range []string{"host77.EXAMPLE.com", "a.w500.example.com", "unknown.example.com", ""} {
		if n := testing.AllocsPerRun(100, func() { x.Select(sni, Caps{ECDSA: true, RSA: true}) }); n != 0 {
			t.Errorf("Select(%q) allocates %v times", sni, n)
		}
	}
}

func BenchmarkSelect(b *testing.B) {
	for _, n := range []int{10, 10000, 100000} {
		x, names := fill(b, n)
		for _, kind := range []string{"exact", "wildcard"} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					sni := names[i*7919%n]
					if kind == "wildcard" {
						sni = "a.w7.example.com"
					}
					if x.Select(sni, Caps{ECDSA: true, RSA: true}) == nil {
						b.Fatal("not found")
					}
				}
			})
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{10, 10000, 100000} {
		x, _ := fill(b, n)
		e := entry("e")
		one, two := bundleFor(b, KeyECDSA, "one.x"), bundleFor(b, KeyECDSA, "two.x")
		x.Add(e, one)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				x.Update(e, []*Bundle{two, one}[i%2])
			}
		})
	}
}
