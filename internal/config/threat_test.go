package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"
)

// hostileNumbers are at, beside and beyond the ends of what a number may be, and what is none.
var hostileNumbers = []string{"0", "-1", "1", "2147483647", "2147483648", "4294967295", "4294967296", "4294967297", "9223372036854775807", "9223372036854775808",
	"18446744073709551615", "18446744073709551617", "99999999999999999999999999", "-9223372036854775808", "-9223372036854775809", "0x7fffffff", "1e9", "+1", " 1", "1.5", "NaN"}

// TestThreat_N11: no number of a configuration, however large, small or odd, becomes a time or a limit that was not written: it is either
// refused or within what HAProxy can hold.
func TestThreat_N11(t *testing.T) {
	for _, n := range hostileNumbers {
		for _, unit := range []string{"", "us", "ms", "s", "m", "h", "d"} {
			for _, by := range []time.Duration{time.Millisecond, time.Second} {
				d, err := ParseTime(n+unit, by)
				var char *CharError
				if err != nil && err != ErrTimeOver && err != ErrTimeUnder && !errors.As(err, &char) {
					t.Errorf("%s%s: %v", n, unit, err)
				}
				if d < 0 || d > math.MaxInt32*by || err != nil && d != 0 {
					t.Errorf("time %s%s is %v (%v)", n, unit, d, err)
				}
			}
		}
		for _, unit := range []string{"", "k", "m", "g", "G", "t"} {
			if size, err := ParseSize(n + unit); size < 0 || size > math.MaxUint32 || err != nil && size != 0 {
				t.Errorf("size %s%s is %d (%v)", n, unit, size, err)
			}
		}
	}
	// us is rounded up to what is counted in, close to the end of what fits 64 bits.
	for _, text := range []string{"9223372036854775us", "9223372036854775807us", "9223372036854ms", "9223372036s"} {
		if d, err := ParseTime(text, time.Millisecond); err != ErrTimeOver {
			t.Errorf("%s: %v, %v", text, d, err)
		}
	}
	refused, taken := 0, 0
	for _, line := range hostileLines {
		for _, n := range hostileNumbers {
			for _, unit := range []string{"", "s"} {
				text := fmt.Sprintf(line, n+unit)
				c, diags := parseText(text)
				if c == nil {
					t.Fatalf("%s: no configuration", text)
				}
				if diags.HasErrors() {
					refused++
					continue
				}
				taken++
				within(t, text, "", reflect.ValueOf(c), map[uintptr]bool{})
			}
		}
	}
	if refused < 200 || taken < 100 {
		t.Errorf("%d refused, %d taken", refused, taken)
	}
}

var hostileLines = []string{
	"global\n maxconn %s\n", "global\n nbthread %s\n", "global\n ulimit-n %s\n", "global\n hard-stop-after %s\n", "global\n grace %s\n", "global\n tune.bufsize %s\n", "global\n tune.maxrewrite %s\n",
	"global\n tune.http.maxhdr %s\n", "global\n tune.http.logurilen %s\n", "global\n tune.ssl.lifetime %s\n", "global\n tune.ssl.cachesize %s\n", "global\n spread-checks %s\n", "global\n stats maxconn %s\n",
	"global\n stats timeout %s\n", "global\n log 127.0.0.1 len %s local0\n", "defaults\n timeout client %s\n", "defaults\n timeout server %s\n", "defaults\n timeout connect %s\n", "defaults\n timeout tunnel %s\n",
	"defaults\n timeout http-request %s\n", "defaults\n timeout tarpit %s\n", "defaults\n timeout queue %s\n", "defaults\n retries %s\n", "defaults\n maxconn %s\n", "defaults\n fullconn %s\n", "defaults\n backlog %s\n",
	"defaults\n default-server inter %s\n", "defaults\n default-server fastinter %s rise 2\n", "defaults\n default-server weight %s\n", "defaults\n default-server maxconn %s\n", "defaults\n default-server maxqueue %s\n",
	"defaults\n default-server slowstart %s\n", "defaults\n default-server rise %s\n", "defaults\n default-server fall %s\n", "defaults\n default-server pool-purge-delay %s\n", "defaults\n default-server pool-max-conn %s\n",
	"frontend f\n mode http\n bind :1 maxconn %s\n", "frontend f\n bind :1 backlog %s\n", "frontend f\n bind :1 id %s\n", "frontend f\n bind :%s\n", "frontend f\n bind :1\n rate-limit sessions %s\n", "frontend f\n bind :1\n id %s\n",
	"frontend f\n bind :1\n tcp-request inspect-delay %s\n", "backend b\n server s 127.0.0.1:%s\n", "backend b\n server s 127.0.0.1:80 weight %s\n", "backend b\n server s 127.0.0.1:80 check inter %s\n",
	"backend b\n stick-table type ip size %s expire 1m store gpc0\n", "backend b\n stick-table type ip size 10 expire %s store gpc0\n", "backend b\n stick-table type ip size 10 expire 1m store http_req_rate(%s)\n",
	"backend b\n stick-table type string len %s size 10\n", "backend b\n stick-table type ip size 10 store gpc(%s)\n", "backend b\n mode http\n cookie c insert maxidle %s\n", "backend b\n mode http\n cookie c insert maxlife %s\n",
	"backend b\n mode http\n compression algo gzip\n compression minsize-res %s\n", "backend b\n mode http\n compression minsize-req %s\n", "global\n tune.comp.maxlevel %s\n", "userlist u\n user %s password x\n",
}

// within fails on a time or a number that no configuration can mean.
func within(t *testing.T, text, name string, v reflect.Value, seen map[uintptr]bool) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] {
			return
		}
		seen[v.Pointer()] = true
		within(t, text, name, v.Elem(), seen)
	case reflect.Interface:
		if !v.IsNil() {
			within(t, text, name, v.Elem(), seen)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			within(t, text, v.Type().Name()+"."+v.Type().Field(i).Name, v.Field(i), seen)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			within(t, text, name, v.Index(i), seen)
		}
	case reflect.Int, reflect.Int32, reflect.Int64:
		n, least, most := v.Int(), int64(-1), int64(math.MaxUint32)
		if name == "Addr.Port" { // an offset to the port that the client asked for
			least = -math.MaxInt32
		}
		if v.Type() == reflect.TypeFor[time.Duration]() {
			least, most = 0, int64(math.MaxInt32*time.Second)
		}
		if n < least || n > most {
			t.Errorf("%q: %s is %d", text, name, n)
		}
	}
}
