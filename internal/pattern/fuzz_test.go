package pattern

import (
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/stream"
)

// FuzzFile: no file panics; its entries are what a line can hold, in order, and a file written from them reads back the same.
func FuzzFile(f *testing.F) {
	for _, text := range []string{
		"", "\n", "# comment\n", "/a va\n/b vb\n", "  key\t value  \r\n#no\n #yes\n", "10.0.0.0/8 net\n2001:db8::/32 doc", "^/[a-z]+$ re\nkey\n", "a\x00b c\n", "1:5 x\n:3 y\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		for _, two := range []bool{false, true} {
			list := slices.Collect(lines([]byte(text), two))
			var again strings.Builder
			last := 0
			for _, l := range list {
				if l.key == "" || strings.ContainsAny(l.key+l.value, "\r\n\x00") || two && strings.ContainsAny(l.key, " \t") || l.number <= last {
					t.Fatalf("%q has the line %v", text, l)
				}
				last = l.number
				again.WriteString(" " + l.key) // a blank in front, or # would start a comment
				if l.value != "" {
					again.WriteString(" " + l.value)
				}
				again.WriteString("\n")
			}
			for i, l := range slices.Collect(lines([]byte(again.String()), two)) {
				if l.key != list[i].key || l.value != list[i].value {
					t.Fatalf("%q was read as %v and read again as %v", text, list[i], l)
				}
			}
		}
	})
}

// FuzzPatterns: no pattern and no value panics, and every way to look up finds the same entry.
func FuzzPatterns(f *testing.F) {
	for m := range Ver {
		f.Add(uint8(m), "a b\nab\n.c/\n1:5\n10.0.0.0/8\n::1\n6162\nGET\n^a\n3.1", "ab.c/a")
	}
	f.Fuzz(func(t *testing.T, method uint8, text, asked string) {
		u := Use{Method: Method(method>>1) % (Ver + 1), Fold: method&1 == 1}
		if len(text) > 2048 || len(asked) > 256 {
			return
		}
		v := fileView(t, newRefs(), "virt@list", u)
		for l := range lines([]byte(text), false) {
			_ = v.ref.Add(Item{Key: l.key})
		}
		val, ok := textAs(u.Method, asked)
		if !ok || u.Method == Bool || u.Method == Found {
			return
		}
		got, want := v.Find(val), slowly(v, val)
		if got != want || v.Match(val) != (got != nil) {
			t.Fatalf("%v in %q: %q finds %v, want %v", u, text, asked, key(got), key(want))
		}
	})
}

func TestRandomChangesKeepTheCounts(t *testing.T) {
	v := fileView(t, newRefs("f", "a 1\nb 2\n"), "f", Use{Method: Str, Out: stream.KindInt})
	for range 100 {
		if err := v.ref.Put("c", "3"); err != nil {
			t.Fatal(err)
		}
		v.ref.Delete("c")
	}
	if n := v.ref.Count(); n != 2 || v.ref.refs.entries.Load() != 2 {
		t.Errorf("%d entries, %d in all", n, v.ref.refs.entries.Load())
	}
	v.ref.Clear(0)
	if n := v.ref.refs.entries.Load(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}
