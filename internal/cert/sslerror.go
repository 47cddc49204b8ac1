package cert

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"strconv"
)

// OpenSSL's reasons of the library "SSL routines" (20) that a handshake here can fail for. An alert from the peer is ReasonAlert and its number.
const (
	ReasonVerifyFailed   = 134
	ReasonNoSharedGroups = 101
	ReasonHTTPRequest    = 156
	ReasonNoSharedCipher = 193
	ReasonNoClientCert   = 199
	ReasonCallbackFailed = 234
	ReasonUnsupported    = 258
	ReasonWrongVersion   = 267
	ReasonAlert          = 1000
)

// SSLCode is OpenSSL's packed error code of a reason, as ssl_fc_err and ssl_bc_err tell it.
func SSLCode(reason int) int { return 20<<23 | reason }

// AlertOf is the number of the alert that the peer of a handshake sent, -1 when err is something else. The type of it is crypto/tls's own, a uint8.
func AlertOf(err error) int {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" || op.Err == nil {
		return -1
	}
	if v := reflect.ValueOf(op.Err); v.Kind() == reflect.Uint8 {
		return int(v.Uint())
	}
	return -1
}

// SSLError prints one of OpenSSL's packed error codes as ERR_error_string(3) does: "error:0A000418:SSL routines::tlsv1 alert unknown ca". "" for 0.
func SSLError(code int) string {
	if code == 0 {
		return ""
	}
	reason := code & 0x7fffff
	text, ok := sslReasons[reason]
	if !ok {
		text = "reason(" + strconv.Itoa(reason) + ")"
	}
	return fmt.Sprintf("error:%08X:SSL routines::%s", code, text)
}

// sslReasons are OpenSSL 3.0's texts of the reasons that a handshake here can fail for; from 1000 on they are alerts of the peer.
var sslReasons = map[int]string{
	101: "no suitable key share", 134: "certificate verify failed", 156: "http request", 193: "no shared cipher", 199: "peer did not return a certificate",
	234: "callback failed", 258: "unsupported protocol", 267: "wrong version number",

	1010: "sslv3 alert unexpected message", 1020: "sslv3 alert bad record mac", 1021: "tlsv1 alert decryption failed",
	1022: "tlsv1 alert record overflow", 1030: "sslv3 alert decompression failure", 1040: "sslv3 alert handshake failure",
	1041: "sslv3 alert no certificate", 1042: "sslv3 alert bad certificate", 1043: "sslv3 alert unsupported certificate",
	1044: "sslv3 alert certificate revoked", 1045: "sslv3 alert certificate expired", 1046: "sslv3 alert certificate unknown",
	1047: "sslv3 alert illegal parameter", 1048: "tlsv1 alert unknown ca", 1049: "tlsv1 alert access denied", 1050: "tlsv1 alert decode error",
	1051: "tlsv1 alert decrypt error", 1060: "tlsv1 alert export restriction", 1070: "tlsv1 alert protocol version",
	1071: "tlsv1 alert insufficient security", 1080: "tlsv1 alert internal error", 1086: "tlsv1 alert inappropriate fallback",
	1090: "tlsv1 alert user cancelled", 1100: "tlsv1 alert no renegotiation", 1109: "tlsv13 alert missing extension",
	1110: "tlsv1 unsupported extension", 1111: "tlsv1 certificate unobtainable", 1112: "tlsv1 unrecognized name",
	1113: "tlsv1 bad certificate status response", 1114: "tlsv1 bad certificate hash value", 1115: "tlsv1 alert unknown psk identity",
	1116: "tlsv13 alert certificate required", 1120: "tlsv1 alert no application protocol",
}
