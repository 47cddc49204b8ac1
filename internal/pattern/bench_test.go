package pattern

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/internal/stream"
)

// benchPattern is the n-th pattern of a large set.
func benchPattern(m Method, n int) string {
	switch m {
	case IP:
		return fmt.Sprintf("%d.%d.%d.0/24", 1+n>>16, n>>8&255, n&255)
	case Beg:
		return fmt.Sprintf("/app/%x/v%d/", uint32(n)*2654435761, n%7)
	case Reg:
		return fmt.Sprintf("^/app/%x/[a-z]+$", uint32(n)*2654435761)
	}
	return fmt.Sprintf("host%x.example%d.com", uint32(n)*2654435761, n%97)
}

func benchView(b *testing.B, m Method, n int) *View {
	b.Helper()
	var text strings.Builder
	for i := range n {
		text.WriteString(benchPattern(m, i) + "\n")
	}
	return fileView(b, newRefs("f", text.String()), "f", Use{Method: m})
}

func BenchmarkFind(b *testing.B) {
	for _, m := range []Method{Str, Beg, IP, Sub, Dom, Reg} {
		for _, n := range []int{10_000, 100_000} {
			if m == Reg && n > 10_000 {
				continue
			}
			b.Run(fmt.Sprintf("%s/%d", m, n), func(b *testing.B) {
				v := benchView(b, m, n)
				val := valueFor(m, benchPattern(m, n-7))
				switch m {
				case IP:
					val = valueFor(m, strings.TrimSuffix(benchPattern(m, n-7), ".0/24")+".9")
				case Beg:
					val.Bytes = append(val.Bytes, "index.html"...)
				case Sub, Dom:
					val.Bytes = []byte("www." + string(val.Bytes) + ":443")
				case Reg:
					val.Bytes = []byte(strings.Replace(string(val.Bytes[1:]), "[a-z]+$", "x", 1))
				}
				if !v.Match(val) {
					b.Fatalf("%s is not found", val.Bytes)
				}
				b.ReportAllocs()
				for b.Loop() {
					v.Find(val)
				}
			})
		}
	}
}

// BenchmarkMiss looks for what no pattern accepts, as most requests do.
func BenchmarkMiss(b *testing.B) {
	for _, m := range []Method{Str, Beg, Sub, Dom, Reg} {
		b.Run(m.String(), func(b *testing.B) {
			v := benchView(b, m, 10_000)
			val := stream.Value{Kind: stream.KindStr, Bytes: []byte("/a/usual/path/of/a/request/to/www.example.org?with=a&query=string")}
			b.ReportAllocs()
			for b.Loop() {
				v.Find(val)
			}
		})
	}
}

func BenchmarkLoad100k(b *testing.B) {
	var text strings.Builder
	for i := range 100_000 {
		text.WriteString(benchPattern(Str, i) + " value\n")
	}
	refs := text.String()
	for b.Loop() {
		fileView(b, newRefs("f", refs), "f", Use{Method: Str, Out: stream.KindStr})
	}
}

// BenchmarkAddTo100k adds one entry at a time to a large set and takes it out again.
func BenchmarkAddTo100k(b *testing.B) {
	v := benchView(b, Str, 100_000)
	i := 0
	for b.Loop() {
		i++
		k := fmt.Sprintf("new%d", i)
		if err := v.ref.Put(k, "v"); err != nil {
			b.Fatal(err)
		}
		if i%2 == 0 {
			v.ref.Delete(k)
		}
	}
}
