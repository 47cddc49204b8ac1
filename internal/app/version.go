package app

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Versions. HAProxyVersion is the release whose language, texts and exit codes the command line follows; clients parse it.
const (
	HAProxyVersion = "3.4.0"
	HAProxyBranch  = "3.4"
	HAProxyDate    = "2026/06/03"
	Version        = "0.1.0"
)

// The TLS library as predicates of the configuration see it: compatible builds of HAProxy name OpenSSL 1.1.1, whose abilities
// crypto/tls covers, and nothing of 3.0 is promised.
const (
	TLSName    = "OpenSSL 1.1.1 (compatible; Go crypto/tls)"
	TLSVersion = "1.1.1"
)

// Features answers feature() and the Feature list of -vv: what HAProxy builds can be asked for, and whether this program does
// the same. PCRE2 says that expressions have groups, classes and back-references in replacements; docs/differences.md names what
// RE2 leaves out.
func Features() map[string]bool {
	on := strings.Fields("ACCEPT4 ACME ECH EPOLL GETADDRINFO LINUX_SPLICE NETFILTER OPENSSL PCRE2 POLL PRCTL PROMEX RT SSL TFO THREAD ZLIB")
	off := strings.Fields("51DEGREES BACKTRACE CLOSEFROM CPU_AFFINITY CRYPT_H DEVICEATLAS DL ENGINE EVPORTS HAVE_TCP_MD5SIG " +
		"KQUEUE KTLS LIBATOMIC LIBCRYPT LINUX_CAP LINUX_TPROXY LUA MATH MEMORY_PROFILING NS OBSOLETE_LINKER OPENSSL_AWSLC " +
		"OPENSSL_WOLFSSL OT PCRE PCRE2_JIT PCRE_JIT PROCCTL PTHREAD_EMULATION QUIC QUIC_OPENSSL_COMPAT SHM_OPEN " +
		"SLZ STATIC_PCRE STATIC_PCRE2 THREAD_DUMP TPROXY TRACE WURFL")
	features := map[string]bool{}
	for _, name := range on {
		features[name] = true
	}
	for _, name := range off {
		features[name] = false
	}
	return features
}

// printVersion writes what -v and its relatives do. The first line is HAProxy's, because scripts parse it; who we are follows.
func printVersion(w io.Writer, show string) {
	switch show {
	case "vq", "vqs":
		fmt.Fprintln(w, HAProxyVersion)
		return
	case "vqb":
		fmt.Fprintln(w, HAProxyBranch)
		return
	}
	fmt.Fprintf(w, "HAProxy version %s %s - https://haproxy.org/\n", HAProxyVersion, HAProxyDate)
	fmt.Fprintf(w, "Gatehouse %s, a TLS edge that behaves as the version above\n", Version)
	fmt.Fprintf(w, "Running on: %s\n", uname())
	if show == "vv" {
		printBuild(w)
	}
}

func uname() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return runtime.GOOS + " " + runtime.GOARCH
	}
	return strings.Join([]string{unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]),
		unix.ByteSliceToString(u.Version[:]), unix.ByteSliceToString(u.Machine[:])}, " ")
}

func printBuild(w io.Writer) {
	fmt.Fprintf(w, `Build options : 
  TARGET  = linux-glibc
  CC      = %s
  CFLAGS  = 
  OPTIONS = USE_OPENSSL=1
  DEBUG   = 

Feature list :%s

Default settings :
  bufsize = 16384, maxrewrite = 1024, maxpollevents = 200

Built with multi-threading support (MAX_TGROUPS=1, MAX_THREADS=1024, default=%d).
Built with SSL library version : %s
Running on SSL library version : %s
SSL library supports TLS extensions : yes
SSL library supports SNI : yes
SSL library default verify directory : /etc/ssl/certs
SSL library supports : TLSv1.0 TLSv1.1 TLSv1.2 TLSv1.3
Compression algorithms supported : none
Encrypted password support via crypt(3): no

Available polling systems :
      epoll : pref=300,  test result OK
Total: 1 (1 usable), will use epoll.

Available multiplexer protocols :
(protocols marked as <default> cannot be specified using 'proto' keyword)
  <default> : mode=HTTP  side=FE|BE  mux=H1    flags=HTX
         h1 : mode=HTTP  side=FE|BE  mux=H1    flags=HTX|NO_UPG
  <default> : mode=TCP   side=FE|BE  mux=PASS  flags=
       none : mode=TCP   side=FE|BE  mux=PASS  flags=NO_UPG

Available services : prometheus-exporter

Available filters :
	none

`, runtime.Version(), featureList(), runtime.GOMAXPROCS(0), TLSName, TLSName)
}

func featureList() string {
	features := Features()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(features)) {
		sign := " -"
		if features[name] {
			sign = " +"
		}
		b.WriteString(sign + name)
	}
	return b.String()
}

// printUsage writes what -h and a mistake in the options get.
func printUsage(w io.Writer, program string) {
	fmt.Fprintf(w, `Usage : %s [-f <cfgfile|cfgdir>]* [ -vdVD ] [ -n <maxconn> ] [ -N <maxpconn> ]
        [ -p <pidfile> ] [ -C <dir> ] [-- <cfgfile>*]
        -f <file|dir> reads this file, or the *.cfg files of this directory
        -c checks the configuration and exits; -V says when it is valid
        -cc <condition> evaluates a condition and exits with 0 (true), 1 (false) or 2 (error)
        -v shows the version ; -vv also the build ; -vq/-vqs/-vqb only the version, its short form, its branch
        -q prints no messages
        -d debugs in the foreground ; -db only stays in the foreground ; -D goes to the background
        -W runs a master and a worker ; -Ws does and notifies systemd
        -S <bind>[,<bind options>...] opens the master's socket
        -p <file> writes the process number to this file
        -C <dir> changes to this directory first
        -n <n> limits all connections, -N <n> those of a proxy
        -L <name> sets the local peer name (the host name otherwise)
        -dW takes warnings for errors ; -dD also warns of what is only suspicious
        -dr goes on when a server's name cannot be resolved ; -dV does not verify servers' certificates
        -dR does without SO_REUSEPORT
        -dK<classes> lists the keywords ("help" for the classes)
        -sf/-st [pid ]* lets old processes finish, or terminates them
        -x <unix_socket> takes the listening sockets from an old process
        -4, -m <MB>, -dS and other options that tune HAProxy's insides are accepted and mean nothing here
        Anything else is a command of its own: see "%s help"

`, program, program)
}
