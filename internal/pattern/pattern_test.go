package pattern

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/stream"
)

// newRefs makes a registry with these files: name, text, name, text.
func newRefs(files ...string) *Refs {
	return NewRefs(func(name string) ([]byte, error) {
		for i := 0; i < len(files); i += 2 {
			if files[i] == name {
				return []byte(files[i+1]), nil
			}
		}
		return nil, os.ErrNotExist
	})
}

func fileView(t testing.TB, r *Refs, name string, u Use) *View {
	t.Helper()
	kind := ACL
	if u.Out != stream.KindAny {
		kind = Map
	}
	ref, err := r.File(name, kind, kind == Map, Pos{"t.cfg", 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	v, err := ref.View(u)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// listView makes a set of patterns.
func listView(t testing.TB, u Use, patterns ...string) *View {
	t.Helper()
	v := fileView(t, newRefs(), "virt@list", u)
	if err := v.ref.Add(items(patterns)...); err != nil {
		t.Fatal(err)
	}
	return v
}

func items(patterns []string) []Item {
	list := make([]Item, len(patterns))
	for i, p := range patterns {
		list[i] = Item{Key: p}
	}
	return list
}

// value makes the kind of value that a method compares.
func valueFor(m Method, text string) stream.Value {
	switch m {
	case Int, Ver:
		n, _ := Number(text)
		return stream.Value{Kind: stream.KindInt, Int: n}
	case IP:
		a, _ := netip.ParseAddr(text)
		return stream.Value{Kind: stream.KindIPv4, Addr: a}
	case Bin:
		b, _ := ParseHex(text)
		return stream.Value{Kind: stream.KindBin, Bytes: []byte(b)}
	}
	return stream.Value{Kind: stream.KindStr, Bytes: []byte(text)}
}

func foundKey(v *View, text string) string {
	if e := v.Find(valueFor(v.use.Method, text)); e != nil {
		return e.Key
	}
	return "-"
}

func TestWhichEntryIsFound(t *testing.T) {
	for _, row := range []struct {
		use      Use
		patterns string
		asked    string // value=key, - for none
	}{
		{Use{Method: Str}, "a b A ab", "a=a A=A ab=ab abc=- c=-"},
		{Use{Method: Str, Fold: true}, "aB b Ab", "AB=aB ab=aB B=b a=-"},
		{Use{Method: Beg}, "/a /ab /b", "/abc=/ab /ac=/a /b=/b /=- x=-"},
		{Use{Method: Beg, Fold: true}, "/a /AB /b", "/ABC=/a /B=/b /=-"},
		{Use{Method: End}, "png .png jpg", "x.png=png jpg=jpg pg=-"},
		{Use{Method: End, Fold: true}, ".PNG png", "x.png=.PNG xPnG=png"},
		{Use{Method: Sub}, "bc b abc", "abcd=bc xb=b x=-"},
		{Use{Method: Sub, Fold: true}, "BC b", "abcd=BC xB=b"},
		{Use{Method: Dir}, "/b/ a/b a", "/x/b?q=/b/ /a/b/c=/b/ /x/ab=- /a=a"},
		{Use{Method: Dom}, "b.c .c. x", "a.b.c=b.c c:80=.c. xy=- a.x/c=.c."},
		{Use{Method: Dom, Fold: true}, "B.c", "a.b.C=B.c"},
		{Use{Method: Int}, "5 1:3 :0 2:9 100:", "5=5 2=1:3 -7=:0 9=2:9 10=- 1000=100:"},
		{Use{Method: Len}, "3: 1", "abc=3: a=1 ab=-"},
		{Use{Method: Ver}, "3.0:3.1", "196608=3.0:3.1 196609=3.0:3.1 196610=-"},
		{Use{Method: Bin}, "6162 00", "6162=6162 00=00 61=-"},
		{Use{Method: IP}, "10.0.0.0/8 10.1.0.0/16 2001:db8::/32 1.0.0.1/255.0.0.255 ::/0", "10.1.2.3=10.1.0.0/16 10.2.0.1=10.0.0.0/8 1.9.9.1=::/0 2001:db8::1=2001:db8::/32 ::ffff:10.1.0.1=::/0"},
		{Use{Method: IP}, "10.0.0.0/8 1.0.0.1/255.0.0.255 2002:a00:1::/48", "1.9.9.1=1.0.0.1/255.0.0.255 1.9.9.2=- ::ffff:10.1.0.1=10.0.0.0/8 2002:a00:1::5=2002:a00:1::/48 2002:a00:2::5=10.0.0.0/8 255.255.255.255=-"},
		{Use{Method: Reg}, "^/a[0-9] b+c a ^x$", "/a1=^/a[0-9] zbbc=b+c ya=a x=^x$ xx=-"},
		{Use{Method: Reg, Fold: true}, "^/A b+c", "/a=^/A BBC=b+c"},
		{Use{Method: Meth}, "GET foo", "GET=GET get=- foo=foo FOO=-"},
		{Use{Method: Meth, Fold: true}, "GET foo", "get=- FOO=foo"},
	} {
		v := listView(t, row.use, strings.Fields(row.patterns)...)
		big := listView(t, row.use, append(strings.Fields(row.patterns), fillers(row.use.Method)...)...)
		for _, ask := range strings.Fields(row.asked) {
			i := strings.LastIndexByte(ask, '=')
			for _, view := range []*View{v, big} {
				if got := foundKey(view, ask[:i]); got != ask[i+1:] {
					t.Errorf("%v in %s: %q finds %s, want %s", row.use, row.patterns, ask[:i], got, ask[i+1:])
				}
				if view.Match(valueFor(row.use.Method, ask[:i])) != (ask[i+1:] != "-") {
					t.Errorf("%v in %s: Match and Find of %q differ", row.use, row.patterns, ask[:i])
				}
			}
		}
	}
}

// fillers are patterns that accept nothing of what is asked, enough to have a set indexed.
func fillers(m Method) []string {
	var list []string
	for i := range 50 {
		switch m {
		case Int, Len:
			list = append(list, fmt.Sprint(20000+i))
		case Ver:
			list = append(list, fmt.Sprintf("9.%d", i))
		case Bin:
			list = append(list, fmt.Sprintf("ff%02x", i))
		case IP:
			list = append(list, fmt.Sprintf("203.0.113.%d", i), fmt.Sprintf("2001:db9:%x::/48", i))
		default:
			list = append(list, fmt.Sprintf("filler%03d", i))
		}
	}
	return list
}

// TestFindIsTheSlowSearch compares every method with a search through the list, while entries come and go.
func TestFindIsTheSlowSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, u := range []Use{{Method: Str}, {Method: Beg}, {Method: End}, {Method: Sub}, {Method: Dir}, {Method: Dom}, {Method: Int}, {Method: IP}, {Method: Reg},
		{Method: Str, Fold: true}, {Method: Beg, Fold: true}, {Method: End, Fold: true}, {Method: Sub, Fold: true}, {Method: Dom, Fold: true}} {
		v := listView(t, u)
		for step := range 600 {
			if r.IntN(3) > 0 || step < 40 {
				if err := v.ref.Add(Item{Key: randomPattern(r, u.Method)}); err != nil {
					t.Fatal(err)
				}
			} else if list := slices.Collect(v.ref.Entries(0)); len(list) > 0 {
				v.ref.DeleteID(list[r.IntN(len(list))].ID)
			}
			if len(v.ref.now.Load().levels) > 12 {
				t.Fatalf("%v: %d levels after %d steps", u, len(v.ref.now.Load().levels), step)
			}
			val := valueFor(u.Method, randomValue(r, u.Method))
			if got, want := v.Find(val), slowly(v, val); got != want {
				t.Fatalf("%v step %d: %q %d %v finds %v, want %v", u, step, val.Bytes, val.Int, val.Addr, key(got), key(want))
			}
		}
	}
}

func key(e *Entry) string {
	if e == nil {
		return "nothing"
	}
	return fmt.Sprintf("%q (%d)", e.Key, e.ID)
}

// slowly finds an entry by looking at one after the other, each in an index of its own.
func slowly(v *View, val stream.Value) (best *Entry) {
	var bestRank uint32
	for e := range v.ref.Entries(0) {
		got, rank := newIndex(v, []*Entry{e}).find(val, false)
		if got != nil && (best == nil || rank < bestRank) {
			best, bestRank = got, rank
		}
	}
	return best
}

func randomText(r *rand.Rand, alphabet string, most int) string {
	b := make([]byte, 1+r.IntN(most))
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

func randomPattern(r *rand.Rand, m Method) string {
	switch m {
	case Int:
		lo := r.IntN(50)
		return fmt.Sprintf("%d:%d", lo, lo+r.IntN(5))
	case IP:
		if r.IntN(3) == 0 {
			return fmt.Sprintf("::ffff:%d.0.0.0/%d", r.IntN(4), 96+r.IntN(9))
		}
		return fmt.Sprintf("%d.%d.%d.0/%d", r.IntN(4), r.IntN(4), r.IntN(4), r.IntN(25))
	case Reg:
		return []string{"", "^"}[r.IntN(2)] + randomText(r, "ab.", 4)
	}
	return randomText(r, "abB./", 6)
}

func randomValue(r *rand.Rand, m Method) string {
	switch m {
	case Int:
		return fmt.Sprint(r.IntN(60))
	case IP:
		return fmt.Sprintf("%s%d.%d.%d.%d", []string{"", "::ffff:"}[r.IntN(2)], r.IntN(4), r.IntN(4), r.IntN(4), r.IntN(4))
	}
	return randomText(r, "abB./", 12)
}

func TestFilesAreReadAsHAProxyReadsThem(t *testing.T) {
	text := "# comment\n\n  \t\n/one\n  /two three  \r\n #four\n\tkey\t value with blanks \t\r\nlast"
	for _, row := range []struct {
		two  bool
		want string
	}{
		{false, `"/one"="" 4|"/two three  "="" 5|"#four"="" 6|"key\t value with blanks \t"="" 7|"last"="" 8|`},
		{true, `"/one"="" 4|"/two"="three" 5|"#four"="" 6|"key"="value with blanks" 7|"last"="" 8|`},
	} {
		var got strings.Builder
		for l := range lines([]byte(text), row.two) {
			fmt.Fprintf(&got, "%q=%q %d|", l.key, l.value, l.number)
		}
		if got.String() != row.want {
			t.Errorf("two columns %v:\n got %s\nwant %s", row.two, got.String(), row.want)
		}
	}
}

func TestUsesOfAFileShareItsEntries(t *testing.T) {
	r := newRefs("f", "/a va\n/b vb\n")
	str := fileView(t, r, "f", Use{Method: Str, Out: stream.KindStr})
	beg := fileView(t, r, "file@f", Use{Method: Beg, Out: stream.KindStr})
	opt := fileView(t, r, "opt@f", Use{Method: End, Fold: true, Out: stream.KindStr})
	if str.ref != beg.ref || str.ref != opt.ref {
		t.Fatal("a prefix made another set")
	}
	if err := str.ref.Add(Item{"/c", "vc", true}); err != nil {
		t.Fatal(err)
	}
	if got := foundKey(str, "/c") + foundKey(beg, "/cd") + foundKey(opt, "x/C"); got != "/c/c/c" {
		t.Errorf("after an addition: %s", got)
	}
	if !str.ref.Delete("/a") || str.ref.Delete("/a") {
		t.Error("an entry was not deleted once")
	}
	if got := foundKey(str, "/a") + foundKey(beg, "/ad") + foundKey(opt, "/A"); got != "---" {
		t.Errorf("after a deletion: %s", got)
	}
	if n := str.ref.Count(); n != 6 {
		t.Errorf("%d entries are counted, want 2 in 3 places", n)
	}
	if err := str.ref.Set("/b", "new"); err != nil {
		t.Fatal(err)
	}
	if text, ok := beg.Find(valueFor(Beg, "/bx")).Text(); text != "new" || !ok {
		t.Errorf("value %q %v", text, ok)
	}
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	r := newRefs("map", "a 1\nb x\n", "nets", "10.0.0.1\nbad\n")
	for _, row := range []struct {
		name, want string
		use        Use
	}{
		{"none", "failed to open pattern file <none>", Use{Method: Str}},
		{"virt@", "failed to open pattern file <virt@>", Use{Method: Str}},
		{"map", "unable to parse 'x' at line 2 of file 'map'", Use{Method: Str, Out: stream.KindInt}},
		{"map", "unable to parse '1' at line 1 of file 'map'", Use{Method: Str, Out: stream.KindAddr}},
		{"map", "'a' is not a number at line 1 of file 'map'", Use{Method: Int, Out: stream.KindStr}},
		{"map", `The file "map" is already used as two column file and cannot be used by as one column file.`, Use{Method: Str}},
		{"nets", "'bad' is not a valid IPv4 or IPv6 address at line 2 of file 'nets'", Use{Method: IP}},
		{"nets", `The file "nets" is already used as one column file and cannot be used by as two column file.`, Use{Method: Str, Out: stream.KindStr}},
	} {
		ref, err := r.File(row.name, ACL, row.use.Out != stream.KindAny, Pos{}, 1)
		if err == nil {
			_, err = ref.View(row.use)
		}
		if err == nil || err.Error() != row.want {
			t.Errorf("%s as %v: %v\nwant %s", row.name, row.use, err, row.want)
		}
	}
	if v := fileView(t, r, "opt@none", Use{Method: Str}); foundKey(v, "a") != "-" || v.ref.Name() != "none" {
		t.Error("a file that may be missing is not an empty set")
	}
	if v := fileView(t, r, "virt@map", Use{Method: Str}); v.ref.Name() != "virt@map" || v.ref.Count() != 0 {
		t.Error("virt@map was read")
	}
}

func TestVersionsAreSeenWhenTheyAreCommitted(t *testing.T) {
	v := listView(t, Use{Method: Str}, "old")
	ref := v.ref
	if n := ref.Prepare(); n != 1 {
		t.Fatalf("first version is %d", n)
	}
	if err := ref.AddTo(1, items([]string{"new", "newer"})...); err != nil {
		t.Fatal(err)
	}
	if got := foundKey(v, "old") + foundKey(v, "new"); got != "old-" {
		t.Errorf("before the commit: %s", got)
	}
	if err := ref.Commit(2); err != ErrVersion {
		t.Errorf("commit of a version that nobody prepared: %v", err)
	}
	if err := ref.Commit(1); err != nil {
		t.Fatal(err)
	}
	if got := foundKey(v, "old") + foundKey(v, "new") + foundKey(v, "newer"); got != "-newnewer" {
		t.Errorf("after the commit: %s", got)
	}
	if err := ref.Commit(1); err != ErrVersion {
		t.Errorf("second commit: %v", err)
	}
	a, b := ref.Prepare(), ref.Prepare()
	if err := ref.AddTo(a, Item{Key: "lost"}); err != nil {
		t.Fatal(err)
	}
	if err := ref.Commit(b); err != nil {
		t.Fatal(err)
	}
	if n := ref.Count(); n != 0 {
		t.Errorf("%d entries are left of versions that are over", n)
	}
	if err := ref.AddTo(a, Item{Key: "late"}); err != nil || foundKey(v, "late") != "-" {
		t.Errorf("an addition to a version that is over: %v, found %s", err, foundKey(v, "late"))
	}
	ref.Clear(a)
	if cur, last := ref.Versions(); cur != 3 || last != 3 || ref.Count() != 0 {
		t.Errorf("versions %d %d, %d entries", cur, last, ref.Count())
	}
}

func TestEntriesAreNamedByNumbersThatStay(t *testing.T) {
	v := listView(t, Use{Method: Str}, "a", "b", "a")
	list := slices.Collect(v.ref.Entries(0))
	if len(list) != 3 || list[0].ID == list[2].ID {
		t.Fatalf("entries %v", list)
	}
	if !v.ref.DeleteID(list[0].ID) || v.ref.DeleteID(list[0].ID) {
		t.Error("an entry was not deleted once by its number")
	}
	if err := v.ref.SetID(list[2].ID, "x"); err != nil {
		t.Error(err)
	}
	if err := v.ref.SetID(list[0].ID, "x"); err != ErrNoSuchID {
		t.Errorf("value of a deleted entry: %v", err)
	}
	if e := v.Find(valueFor(Str, "a")); e != list[2] {
		t.Errorf("the second a was not found, but %s", key(e))
	}
	if err := v.ref.Set("c", "x"); err != ErrNotFound {
		t.Errorf("value of nothing: %v", err)
	}
}

func TestABadItemLeavesTheOthersIn(t *testing.T) {
	v := listView(t, Use{Method: IP})
	err := v.ref.Add(items([]string{"10.0.0.1", "bad", "10.0.0.2"})...)
	if err == nil || err.Error() != "'bad' is not a valid IPv4 or IPv6 address" {
		t.Errorf("error %v", err)
	}
	if got := foundKey(v, "10.0.0.1") + foundKey(v, "10.0.0.2"); got != "10.0.0.1-" {
		t.Errorf("in are %s", got)
	}
}

func TestSetsAreNumberedInTheirOrder(t *testing.T) {
	r := newRefs("f", "")
	inline := func(file string, line, n, id int) *Ref {
		ref, _, err := r.Inline("path", Pos{file, line}, n, id)
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	late, early, first, forced := inline("b.cfg", 1, 1, -1), inline("a.cfg", 9, 2, -1), inline("a.cfg", 3, 1, -1), inline("a.cfg", 1, 1, 1)
	if _, err := r.File("f", Map, true, Pos{"a.cfg", 5}, 1); err != nil {
		t.Fatal(err)
	}
	file, err := r.File("opt@f", ACL|Map, true, Pos{"a.cfg", 4}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if again := inline("a.cfg", 3, 1, -1); again != first {
		t.Error("a line compiled again has another set")
	}
	if _, _, err := r.Inline("path", Pos{"a.cfg", 10}, 1, 1); err == nil || err.Error() != "the id is already used" {
		t.Errorf("a number given twice: %v", err)
	}
	target, nobody := r.Target("file@f"), r.Target("g")
	r.Finish([]string{"a.cfg", "b.cfg"})
	if got := fmt.Sprint(first.ID(), forced.ID(), file.ID(), early.ID(), late.ID()); got != "0 1 2 3 4" {
		t.Errorf("numbers %s", got)
	}
	if r.Lookup("#2") != file || r.Lookup("opt@f") != file || r.Lookup("#9") != nil || r.Lookup("#x") != nil || r.Lookup("") != nil {
		t.Error("a set was not found by what it is called")
	}
	want := "pattern loaded from file 'opt@f' used by map at file 'a.cfg' line 4, by map at file 'a.cfg' line 5"
	if file.Display() != want || first.Display() != "acl 'path' file 'a.cfg' line 3" {
		t.Errorf("shown as %s and %s", file.Display(), first.Display())
	}
	if target.Ref() != file || nobody.Ref() != nil {
		t.Error("targets are not what they name")
	}
}

func TestLookingUpDoesNotAllocate(t *testing.T) {
	for _, m := range []Method{Str, Beg, End, Sub, Dir, Dom, Int, IP, Len, Bin} { // expressions run on machines of a sync.Pool, which drops some under -race
		v := listView(t, Use{Method: m, Fold: m == End}, fillers(m)...)
		val := valueFor(m, map[Method]string{Int: "20003", IP: "203.0.113.7", Bin: "ff01"}[m])
		if len(val.Bytes) == 0 {
			val.Bytes = []byte("/a/filler003/b.c?d=e")
		}
		if n := testing.AllocsPerRun(100, func() { v.Find(val); v.Match(val) }); n > 0 {
			t.Errorf("%s: %v allocations", m, n)
		}
	}
}
