package gatetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
)

// wire carries requests to a handler in this process.
type wire struct{ handler http.Handler }

// Wire is an http.RoundTripper that hands requests to h without a network, so that tests may run under synctest. A handler that aborts is a
// connection that breaks; one that never answers blocks until the request's context ends.
func Wire(h http.Handler) http.RoundTripper { return wire{h} }

// Transport is the Wire to the CA.
func (ca *CA) Transport() http.RoundTripper { return Wire(ca) }

var errBroken = errors.New("connection reset by peer")

// RoundTrip implements http.RoundTripper.
func (w wire) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	inner := req.Clone(ctx)
	if inner.Body == nil {
		inner.Body = http.NoBody
	}
	done := make(chan *http.Response, 1)
	go func() {
		rec := httptest.NewRecorder()
		defer func() {
			if p := recover(); p != nil {
				if p != http.ErrAbortHandler {
					panic(p)
				}
				close(done)
			}
		}()
		w.handler.ServeHTTP(rec, inner)
		done <- rec.Result()
	}()
	select {
	case resp := <-done:
		if resp == nil {
			if err := req.Context().Err(); err != nil {
				return nil, err
			}
			return nil, errBroken
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20)) // more than any answer, those included that are made to be too long
		if err != nil {
			return nil, err
		}
		resp.Body, resp.Request = io.NopCloser(bytes.NewReader(body)), req
		return resp, nil
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}
