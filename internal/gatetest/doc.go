// Package gatetest is for tests: peers of gatehouse that keep to their protocol until they are told to go wrong at a certain
// step. CA is an ACME server (RFC 8555) in memory; Wire reaches it, or any handler, without a network, so that tests run under
// testing/synctest. Nothing outside of tests imports it.
package gatetest
