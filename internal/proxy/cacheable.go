package proxy

import (
	"bytes"

	"gatehouse/internal/stream"
)

// cacheable reports whether a shared cache might keep the response and with it a cookie that is set in it (RFC 9111 section 3,
// read as HAProxy reads it for `cookie ... nocache`).
func cacheable(s *stream.Stream) bool {
	ok := false
	switch string(s.Received()) {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		status := s.Log.ServerStatus // rules do not change what a cache may keep
		if status == 0 {
			status = s.Res.Status
		}
		switch status {
		case 200, 203, 204, 206, 300, 301, 404, 405, 410, 414, 501:
			ok = true
		}
	}
	fields := s.Res.Fields
	if equalFold(stream.Get(fields, "pragma"), "no-cache") {
		return false
	}
	var fresh, nullAge bool
	eachElement(fields, "cache-control", func(v []byte) {
		switch {
		case equalFold(v, "public"):
			ok = true
		case equalFold(v, "max-age=0"):
			nullAge = true
		case equalFold(v, "private"), prefixFold(v, "private="), equalFold(v, "no-cache"), prefixFold(v, "no-cache=") && !equalFold(v, `no-cache="set-cookie"`),
			equalFold(v, "no-store"), prefixFold(v, "no-store="), equalFold(v, "s-maxage=0"):
			ok = false
		case prefixFold(v, "s-maxage"):
			fresh, nullAge = true, false
		case prefixFold(v, "max-age"):
			fresh = true
		}
	})
	if nullAge {
		ok = false
	}
	return ok && (fresh || stream.Has(fields, "expires") || stream.Has(fields, "etag") || stream.Has(fields, "last-modified"))
}

// eachElement calls f with every element of the comma-separated lists in the fields called name (lower case).
func eachElement(fields []stream.Field, name string, f func(v []byte)) {
	for i := range fields {
		if string(fields[i].Name) != name {
			continue
		}
		for v := fields[i].Value; len(v) > 0; {
			end := listEnd(v)
			if e := bytes.Trim(v[:end], " \t"); len(e) > 0 {
				f(e)
			}
			v = v[min(end+1, len(v)):]
		}
	}
}

// listEnd finds the comma behind the first element of a list; one in quotes does not count.
func listEnd(v []byte) int {
	quoted := false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return i
		}
	}
	return len(v)
}

// equalFold compares a value with a word in lower case.
func equalFold(v []byte, word string) bool {
	return len(v) == len(word) && prefixFold(v, word)
}

func prefixFold(v []byte, word string) bool {
	if len(v) < len(word) {
		return false
	}
	for i := 0; i < len(word); i++ {
		c := v[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != word[i] {
			return false
		}
	}
	return true
}
