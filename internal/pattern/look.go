package pattern

import (
	"net/netip"

	"gatehouse/internal/stream"
)

// Answer is what one use says of a text, for the Runtime API.
type Answer struct {
	Use      Use
	Accepted bool
	Entry    *Entry // that accepts; nil when none does, and with method bool, which looks at no pattern
	Listed   bool   // HAProxy keeps the pattern in a list, not in a tree
}

// Look asks every use of the set for a text. Uses that HAProxy stores together answer once, as the first of them.
func (r *Ref) Look(text string) []Answer {
	r.mu.Lock()
	views := r.views
	r.mu.Unlock()
	seen := map[Use]bool{}
	var out []Answer
	for _, v := range views {
		if seen[v.use.storage()] {
			continue
		}
		seen[v.use.storage()] = true
		a := Answer{Use: v.use, Listed: true}
		if val, ok := textAs(v.use.Method, text); ok {
			a.Entry = v.Find(val)
			a.Accepted = a.Entry != nil || v.use.Method == Bool && val.Int != 0
		}
		switch {
		case a.Entry == nil:
		case v.use.Method == IP:
			a.Listed = isMasked(a.Entry.Key)
		case v.use.Method == Str || v.use.Method == Beg:
			a.Listed = v.use.Fold
		}
		out = append(out, a)
	}
	return out
}

func isMasked(key string) bool {
	n, err := parseNetwork(key)
	return err == nil && !n.prefix.IsValid()
}

// textAs turns a text into what a method compares; false when it does not read as that.
func textAs(m Method, text string) (stream.Value, bool) {
	switch m {
	case Bool, Int, Ver:
		end := 0
		for end < len(text) && (text[end] >= '0' && text[end] <= '9' || end == 0 && (text[0] == '-' || text[0] == '+')) {
			end++
		}
		n, ok := valueNumber(text[:end])
		return stream.Value{Kind: stream.KindInt, Int: n}, ok && text != ""
	case IP:
		a, err := netip.ParseAddr(text)
		kind := stream.KindIPv6
		if a.Is4() {
			kind = stream.KindIPv4
		}
		return stream.Value{Kind: kind, Addr: a}, err == nil && a.Zone() == ""
	}
	return stream.Value{Kind: stream.KindStr, Bytes: []byte(text)}, true
}
