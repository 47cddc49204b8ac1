package rule

import (
	"bytes"
	"strings"
	"testing"

	"gatehouse/internal/stream"
)

// FuzzNormalize: what a normalizer of URIs makes is its own normal form, is no longer than what it was given (but for "#", which takes
// three bytes), and still begins as a path does.
func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"/", "/a//b/./c/../d", "/..//../x/..", "/%61%2f%zz%?b=2&a=1&&b", "/#a#b", "*", "", "/.", "/..", "/%", "/a?b#c?d", "///...//"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > maxFuzzText {
			return
		}
		for name, n := range normalizations {
			for _, do := range []normalizer{n.plain, n.opted} {
				if do == nil {
					continue
				}
				once, ok := do(nil, in)
				if !ok {
					if !strings.HasPrefix(name, "percent-") || bytes.IndexByte(in, '%') < 0 {
						t.Fatalf("%s refuses %q", name, in)
					}
					continue
				}
				if room := len(in) + 2*bytes.Count(in, []byte("#")) + 1; len(once) > room {
					t.Fatalf("%s makes %q of %q", name, once, in)
				}
				if bytes.HasPrefix(in, []byte("/")) && name != "path-strip-dot" && name != "fragment-strip" && !bytes.HasPrefix(once, []byte("/")) {
					t.Fatalf("%s makes %q, which is no path, of %q", name, once, in)
				}
				if twice, ok := do(nil, once); !ok || !bytes.Equal(twice, once) && name != "percent-decode-unreserved" {
					t.Fatalf("%s makes %q of %q, and then %q", name, once, in, twice)
				}
				if after, ok := do([]byte("before"), in); !ok || string(after) != "before"+string(once) {
					t.Fatalf("%s makes %q of %q, but behind other bytes %q", name, once, in, after)
				}
			}
		}
	})
}

// FuzzCrypt: no hash of a configuration panics; a known one is one that its own password makes, and no other password.
func FuzzCrypt(f *testing.F) {
	for _, s := range []string{"abzlUXK5ed5rs", "$1$saltsalt$6SNdNaZLKst2LlSm7oPPL1", "$5$rounds=1000$s$x", "$6$s$", "$6$rounds=2000000$x$y", "$2b$31$x", "$5$rounds=$", "$1$", "$", "", "..", "$6$rounds=1000$"} {
		f.Add("pw", s)
	}
	f.Fuzz(func(t *testing.T, password, want string) {
		// What takes long is bounded by rounds; here it would only take the time of others.
		if len(password) > 64 || len(want) > 128 || strings.HasPrefix(want, "$2") || strings.Contains(want, "rounds=") && !strings.Contains(want, "rounds=1000$") {
			return
		}
		hash, ok := cryptLike([]byte(password), want)
		if ok != cryptKnown(want) {
			t.Fatalf("%q is known: %v, but hashes: %v", want, cryptKnown(want), ok)
		}
		if cryptMatches([]byte(password), want) != (ok && hash == want) {
			t.Fatalf("%q, %q: the hash is %q", password, want, hash)
		}
		if !ok {
			return
		}
		if !cryptKnown(hash) || !cryptMatches([]byte(password), hash) || len(hash) > 160 || strings.ContainsAny(hash[3:], "\n\r\x00:") && !strings.ContainsAny(want, "\n\r\x00:") {
			t.Fatalf("%q hashes %q to %q, which it does not match", want, password, hash)
		}
		// DES minds eight letters of seven bits; the others mind every byte.
		if strings.HasPrefix(want, "$") && cryptMatches([]byte(password+"x"), hash) {
			t.Fatalf("%q matches longer than %q", hash, password)
		}
	})
}

// FuzzForwarded: an element of Forwarded (RFC 7239) that is taken as valid has no byte that could end the field, and what its fields
// are said to be stands in it.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{`for=192.0.2.1;proto=https;by="[2001:db8::1]:80"`, `for="_a:_b";host="a\"b"`, "for=unknown", "for=;", "proto=http;proto=http", `by="`, ";", "host=a, for=b"} {
		f.Add(s)
	}
	c, _ := newCompiler()
	valid := c.Expr("req.fhdr(forwarded),rfc7239_is_valid", testPos)
	var fields []*Expr
	for _, name := range []string{"for", "by", "host", "proto"} {
		fields = append(fields, c.Expr("req.fhdr(forwarded),rfc7239_field("+name+")", testPos))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxFuzzText || !headerSafe([]byte(text)) {
			return
		}
		s := newStream(t, "GET / HTTP/1.1", "Forwarded: "+text)
		ok := false
		if v, there := valid.Eval(s, nil); there {
			ok = v.Kind == stream.KindBool && v.Int == 1
		}
		for i, field := range fields {
			v, there := field.Eval(s, nil)
			if !there || !ok {
				continue
			}
			if !strings.Contains(text, string(v.Bytes)) {
				t.Fatalf("field %d of %q is %q", i, text, v.Bytes)
			}
		}
	})
}
