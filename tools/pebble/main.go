// Command pebble starts Pebble, the small CA of the ACME authors (RFC 8555), on loopback for tests and for `make demo`. Every name it is
// asked to validate resolves to 127.0.0.1, and HTTP-01 is fetched from -http-port there.
//
// When it is ready it prints one line of JSON: "directory" is the URL of the ACME directory, "ca_file" a file with the root of the
// directory's own HTTPS, "root_file" a file with the root of the certificates it issues. It ends when its standard input closes or it
// is told to by SIGTERM or SIGINT, and removes its temporary files. Pebble's environment variables are honoured: PEBBLE_WFE_NONCEREJECT is the share
// of good nonces that are refused, in percent.
//
// It is a module of its own so that a CA and a DNS server are no dependencies of gatehouse.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// options are the flags.
type options struct {
	listen   string
	dir      string
	httpPort int
	tlsPort  int
	validity time.Duration
	verbose  bool
}

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "loopback `address` of the ACME directory")
	flag.StringVar(&o.dir, "dir", "", "`directory` for ca.pem and root.pem (default: a temporary one)")
	flag.IntVar(&o.httpPort, "http-port", 80, "`port` of 127.0.0.1 where HTTP-01 is validated")
	flag.IntVar(&o.tlsPort, "tls-port", 443, "`port` of 127.0.0.1 where TLS-ALPN-01 is validated")
	flag.DurationVar(&o.validity, "validity", 90*24*time.Hour, "lifetime of certificates")
	flag.BoolVar(&o.verbose, "v", false, "log what Pebble does on standard error")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, o, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pebble:", err)
		os.Exit(1)
	}
}

// ready is the line that says where everything is.
type ready struct {
	Directory string `json:"directory"`
	CAFile    string `json:"ca_file"`
	RootFile  string `json:"root_file"`
}

// run serves until ctx ends or in does.
func run(ctx context.Context, o options, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		io.Copy(io.Discard, in)
		cancel()
	}()
	dir, remove, err := directory(o.dir)
	if err != nil {
		return err
	}
	defer remove()
	names, err := serveNames()
	if err != nil {
		return err
	}
	defer names.Shutdown()
	ln, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	defer ln.Close()
	identity, root, err := newIdentity(ln.Addr().(*net.TCPAddr).IP)
	if err != nil {
		return err
	}
	handler, issuing := newPebble(o, names.Listener.Addr().String())
	files := ready{
		Directory: "https://" + ln.Addr().String() + wfe.DirectoryPath,
		CAFile:    filepath.Join(dir, "ca.pem"), RootFile: filepath.Join(dir, "root.pem"),
	}
	if err := errors.Join(os.WriteFile(files.CAFile, root, 0o644), os.WriteFile(files.RootFile, issuing, 0o644)); err != nil {
		return err
	}
	server := &http.Server{Handler: handler, TLSConfig: identity, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(ln, "", "") }()
	if err := json.NewEncoder(out).Encode(files); err != nil {
		return err
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}

// directory gives the place for the two files and what removes it again.
func directory(name string) (string, func(), error) {
	if name != "" {
		return name, func() {}, os.MkdirAll(name, 0o700)
	}
	dir, err := os.MkdirTemp("", "pebble")
	return dir, func() { os.RemoveAll(dir) }, err
}

// newPebble puts Pebble's parts together as its own command does.
func newPebble(o options, resolver string) (http.Handler, []byte) {
	// Random pauses of seconds before validations are for people who test clients by hand.
	if _, set := os.LookupEnv("PEBBLE_VA_NOSLEEP"); !set {
		os.Setenv("PEBBLE_VA_NOSLEEP", "1")
	}
	logger := log.New(io.Discard, "", 0)
	if o.verbose {
		logger = log.New(os.Stderr, "pebble ", log.LstdFlags)
	}
	store := db.NewMemoryStore()
	profiles := map[string]ca.Profile{
		"default":    {Description: "The default profile", ValidityPeriod: uint64(o.validity / time.Second)},
		"shortlived": {Description: "A certificate of six days", ValidityPeriod: uint64(6 * 24 * time.Hour / time.Second)},
	}
	issuer := ca.New(logger, store, "", "ecdsa", 0, 1, profiles)
	validator := va.New(logger, o.httpPort, o.tlsPort, false, resolver, store)
	front := wfe.New(logger, store, validator, issuer, []string{"pebble.letsencrypt.org"}, false, false, 1, 1)
	return front.Handler(), issuer.GetRootCert(0).PEM()
}
