package rule

import "strings"

// need is what a fetch reads, one bit per source of information, in the order HAProxy names them in messages.
type need uint32

const (
	needInternal need = 1 << iota // state of the process
	needListener
	needFrontend
	needClient     // addresses of the client connection
	needTLS        // the client connection above TCP
	needTrack      // track counters
	needReqBuffer  // raw request bytes
	needReqHeaders // head of the request, gone once it was forwarded
	needRequest    // what stays known of the request
	needReqBody
	needBackend
	needServer
	needServerAddr
	needServerConn
	needResBuffer
	needResHeaders
	needResponse
	needResBody
	needEnd // totals known when the stream ends

	needNothing need = 0
	needHead         = needReqHeaders | needRequest | needReqBody
)

var needNames = []string{
	"internal state", "listener", "frontend", "client address", "client-side connection", "track counters", "request buffer",
	"HTTP request headers", "HTTP request", "HTTP request body", "backend", "server", "server address", "server-side connection",
	"response buffer", "HTTP response headers", "HTTP response", "HTTP response body", "transaction statistics",
}

func (n need) String() string {
	var names []string
	for i, name := range needNames {
		if n&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// scope is a place where rules run: what is known there.
type scope struct {
	name  string // the configuration keyword
	place string // as HAProxy calls it in warnings
	knows need
}

const (
	knowsConn     = needInternal | needListener | needFrontend | needClient | needTLS | needTrack
	knowsRequest  = knowsConn | needReqBuffer | needReqHeaders | needRequest | needReqBody | needBackend
	knowsResponse = knowsConn | needRequest | needBackend | needServer | needServerAddr | needServerConn |
		needResBuffer | needResHeaders | needResponse | needResBody
	knowsLog = knowsConn | needRequest | needBackend | needServer | needServerAddr | needServerConn | needResponse | needEnd
)

var (
	inRequest       = scope{"http-request", "http-request header rule", knowsRequest}
	inResponse      = scope{"http-response", "http-response header rule", knowsResponse}
	inAfterResponse = scope{"http-after-response", "http-response header rule", knowsResponse}
	inLog           = scope{"log-format", "logs", knowsLog}
	anywhere        = scope{"", "", ^need(0)}
)

// has reports whether a fetch that needs n can be of use: any one of the sources suffices, as for "hdr", which reads
// whichever message is at hand.
func (p scope) has(n need) bool { return n == needNothing || n&p.knows != 0 }
