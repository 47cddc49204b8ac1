package h1

import (
	"testing"

	"gatehouse/internal/stream"
)

// TestLooseRequestsPassAsHAProxyHasThem covers http-strict off: each form passes with its own limit only.
func TestLooseRequestsPassAsHAProxyHasThem(t *testing.T) {
	for _, tc := range []struct {
		name, in, target, host string
		strict                 *Error
		loose                  Limits
	}{
		{"no Host", "GET / HTTP/1.1\r\n\r\n", "/", "", ErrHost, Limits{NoHostOK: true}},
		{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "a:443", "a", ErrMethodRefused, Limits{ConnectOK: true}},
		{"user", "GET http://u:p@a:80/x HTTP/1.1\r\nHost: a\r\n\r\n", "http://u:p@a/x", "a", ErrTarget, Limits{UserOK: true}},
		{"two at signs", "GET http://u@b@a/x HTTP/1.1\r\nHost: a\r\n\r\n", "http://u@b@a/x", "a", ErrTarget, Limits{UserOK: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.loose.Head, tc.loose.Fields = DefaultHead, DefaultFields
			var req stream.Request
			if _, err := parseRequest([]byte(tc.in), &req, &Limits{Head: DefaultHead, Fields: DefaultFields}); err != tc.strict {
				t.Errorf("strict: got %v, want %v", err, tc.strict)
			}
			if _, err := parseRequest([]byte(tc.in), &req, &tc.loose); err != nil {
				t.Fatalf("loose: %v", err)
			}
			if string(req.Target) != tc.target || string(stream.Get(req.Fields, "host")) != tc.host {
				t.Errorf("loose: target %q host %q, want %q and %q", req.Target, stream.Get(req.Fields, "host"), tc.target, tc.host)
			}
		})
	}
	var req stream.Request
	loose := Limits{Head: DefaultHead, Fields: DefaultFields, UserOK: true}
	if _, err := parseRequest([]byte("GET http://a@b/x HTTP/1.1\r\nHost: a\r\n\r\n"), &req, &loose); err != ErrHost {
		t.Errorf("the user is not the host: got %v, want %v", err, ErrHost)
	}
}
