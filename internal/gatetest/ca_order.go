package gatetest

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// newAccountLocked finds or makes an account (RFC 8555 section 7.3).
func (ca *CA) newAccountLocked(a *answer, m message) {
	var wish struct {
		Only    bool     `json:"onlyReturnExisting"`
		Agreed  bool     `json:"termsOfServiceAgreed"`
		Contact []string `json:"contact"`
	}
	if err := json.Unmarshal(m.payload, &wish); err != nil {
		a.problem(http.StatusBadRequest, "malformed", "not an account")
		return
	}
	url := ca.o.URL + "/acct/" + thumbprint(m.key)
	_, known := ca.accounts[url]
	switch {
	case !known && wish.Only:
		a.problem(http.StatusBadRequest, "accountDoesNotExist", "no account with this key")
		return
	case !known && !wish.Agreed:
		a.problem(http.StatusForbidden, "userActionRequired", "the terms of service were not agreed to")
		return
	}
	status := http.StatusOK
	if !known {
		status = http.StatusCreated
		ca.accounts[url] = m.key
		ca.contacts = append(ca.contacts, wish.Contact...)
	}
	a.header.Set("Location", url)
	a.json(status, map[string]any{"status": "valid", "contact": wish.Contact, "orders": url + "/orders"})
}

// newOrderLocked makes an order with one authorization for each name (section 7.4).
func (ca *CA) newOrderLocked(a *answer, m message) {
	var wish struct {
		Identifiers []identifier `json:"identifiers"`
		Profile     string       `json:"profile"`
	}
	if err := json.Unmarshal(m.payload, &wish); err != nil || len(wish.Identifiers) == 0 {
		a.problem(http.StatusBadRequest, "malformed", "not an order")
		return
	}
	o := &caOrder{account: m.account, url: ca.o.URL + "/order/" + random(), ids: wish.Identifiers, status: "pending"}
	for _, id := range wish.Identifiers {
		az := &caAuthz{
			account: m.account, url: ca.o.URL + "/authz/" + random(), token: random() + random(), id: id,
			status: "pending", challenge: "pending",
		}
		if ca.o.AuthzValid {
			az.status, az.challenge = "valid", "valid"
		}
		ca.authzs[az.url] = az
		o.authzs = append(o.authzs, az.url)
	}
	ca.orders[o.url] = o
	ca.settleLocked(o)
	a.header.Set("Location", o.url)
	ca.showOrderLocked(a, http.StatusCreated, o)
}

// settleLocked moves a pending order on when its authorizations have been decided.
func (ca *CA) settleLocked(o *caOrder) {
	if o.status != "pending" {
		return
	}
	ready := true
	for _, url := range o.authzs {
		switch az := ca.authzs[url]; az.status {
		case "valid":
		case "invalid":
			o.status, o.problem = "invalid", &problem{Type: errorPrefix + "unauthorized", Detail: "an authorization failed", Status: 403}
			return
		default:
			ready = false
		}
	}
	if ready {
		o.status = "ready"
	}
}

func (ca *CA) showOrderLocked(a *answer, status int, o *caOrder) {
	ids, authzs := o.ids, o.authzs
	if ca.o.OtherIdentifiers {
		ids = []identifier{{Type: "dns", Value: "other.example"}}
	}
	if ca.o.NoAuthz {
		authzs = nil
	}
	v := map[string]any{
		"status": o.status, "identifiers": ids, "authorizations": authzs, "expires": time.Now().Add(7 * 24 * time.Hour).Format(time.RFC3339),
		"finalize": strings.Replace(o.url, "/order/", "/finalize/", 1),
	}
	if o.cert != "" && o.status == "valid" {
		v["certificate"] = o.cert
	}
	if o.problem != nil {
		v["error"] = o.problem
	}
	if o.status == "processing" || o.status == "pending" {
		ca.patience(a)
	}
	a.json(status, v)
}

func (ca *CA) patience(a *answer) {
	if ca.o.RetryAfter != "" {
		a.header.Set("Retry-After", ca.o.RetryAfter)
	}
}

func (ca *CA) orderLocked(a *answer, m message) {
	o := ca.orders[m.url]
	if o == nil || o.account != m.account {
		a.problem(http.StatusNotFound, "malformed", "no such order")
		return
	}
	ca.settleLocked(o)
	if o.status == "processing" {
		if o.polls--; o.polls < 0 {
			o.status = "valid"
		}
	}
	ca.showOrderLocked(a, http.StatusOK, o)
}

func (ca *CA) authzLocked(a *answer, m message) {
	az := ca.authzs[m.url]
	if az == nil || az.account != m.account {
		a.problem(http.StatusNotFound, "malformed", "no such authorization")
		return
	}
	if az.status == "pending" {
		ca.patience(a)
	}
	a.json(http.StatusOK, map[string]any{
		"status": az.status, "identifier": az.id,
		"challenges": []any{
			map[string]any{"type": "dns-01", "status": "pending", "token": az.token, "url": az.url + "-dns"},
			ca.showChallenge(az),
		},
	})
}

func (ca *CA) showChallenge(az *caAuthz) map[string]any {
	v := map[string]any{"type": "http-01", "status": az.challenge, "token": az.token, "url": strings.Replace(az.url, "/authz/", "/challenge/", 1)}
	if az.problem != nil {
		v["error"] = az.problem
	}
	return v
}

// challengeLocked starts a validation, in its own goroutine (section 7.5.1).
func (ca *CA) challengeLocked(a *answer, m message) {
	az := ca.authzs[strings.Replace(m.url, "/challenge/", "/authz/", 1)]
	if az == nil || az.account != m.account {
		a.problem(http.StatusNotFound, "malformed", "no such challenge")
		return
	}
	if az.challenge != "pending" {
		a.problem(http.StatusBadRequest, "malformed", "the challenge is %s", az.challenge)
		return
	}
	az.challenge = "processing"
	want := az.token + "." + thumbprint(m.key)
	validate := ca.o.Validate
	if validate == nil {
		validate = ca.fetchToken
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		got, err := validate(ctx, az.id.Value, az.token)
		if err == nil && strings.TrimRight(got, " \t\r\n") != want { // section 8.3
			err = fmt.Errorf("the answer is %.100q", got)
		}
		ca.mu.Lock()
		defer ca.mu.Unlock()
		az.status, az.challenge = "valid", "valid"
		if err != nil {
			az.status, az.challenge = "invalid", "invalid"
			az.problem = &problem{Type: errorPrefix + "unauthorized", Detail: az.id.Value + ": " + err.Error(), Status: 403}
		}
	}()
	a.json(http.StatusOK, ca.showChallenge(az))
}

// fetchToken asks the name's web server for the token, over HTTP on the connection that Dial gives.
func (ca *CA) fetchToken(ctx context.Context, host, token string) (string, error) {
	dial := ca.o.Dial
	if dial == nil {
		return "", fmt.Errorf("no way to reach %s", host)
	}
	client := http.Client{
		Transport: &http.Transport{
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, host) },
			DisableKeepAlives: true,
		},
	}
	name := host
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+name+"/.well-known/acme-challenge/"+token, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return string(body), err
}

// finalizeLocked checks the CSR against the order and issues (section 7.4).
func (ca *CA) finalizeLocked(a *answer, m message) {
	o := ca.orders[strings.Replace(m.url, "/finalize/", "/order/", 1)]
	if o == nil || o.account != m.account {
		a.problem(http.StatusNotFound, "malformed", "no such order")
		return
	}
	ca.settleLocked(o)
	if o.status != "ready" {
		a.problem(http.StatusForbidden, "orderNotReady", "the order is %s", o.status)
		return
	}
	csr, err := readCSR(m.payload)
	if err != nil {
		a.problem(http.StatusBadRequest, "badCSR", "%v", err)
		return
	}
	if got, want := csrNames(csr), orderNames(o.ids); !slices.Equal(got, want) {
		a.problem(http.StatusBadRequest, "badCSR", "the CSR is for %v, the order for %v", got, want)
		return
	}
	a.header.Set("Location", o.url)
	if ca.o.OrderInvalid {
		o.status, o.problem = "invalid", &problem{Type: errorPrefix + "caa", Detail: "CAA forbids it", Status: 403}
		ca.showOrderLocked(a, http.StatusOK, o)
		return
	}
	chain, err := ca.issueLocked(csr)
	if err != nil {
		a.problem(http.StatusInternalServerError, "serverInternal", "%v", err)
		return
	}
	o.cert = strings.Replace(o.url, "/order/", "/cert/", 1)
	ca.certs[o.cert] = chain
	o.status, o.polls = "processing", ca.o.Processing
	if ca.o.Processing == 0 {
		o.status = "valid"
	}
	ca.showOrderLocked(a, http.StatusOK, o)
}

func readCSR(payload []byte) (*x509.CertificateRequest, error) {
	var body struct {
		CSR string `json:"csr"`
	}
	if err := json.Unmarshal(payload, &body); err != nil {
		return nil, err
	}
	der, err := base64.RawURLEncoding.DecodeString(body.CSR)
	if err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, err
	}
	return csr, csr.CheckSignature()
}

func csrNames(csr *x509.CertificateRequest) []string {
	names := slices.Clone(csr.DNSNames)
	for _, ip := range csr.IPAddresses {
		names = append(names, ip.String())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func orderNames(ids []identifier) []string {
	var names []string
	for _, id := range ids {
		names = append(names, id.Value)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (ca *CA) certLocked(a *answer, m message) {
	chain := ca.certs[m.url]
	if chain == nil {
		a.problem(http.StatusNotFound, "malformed", "no such certificate")
		return
	}
	a.header.Set("Content-Type", "application/pem-certificate-chain")
	a.body = chain
}
