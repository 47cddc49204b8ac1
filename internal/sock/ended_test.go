package sock

import (
	"net"
	"testing"
	"time"
)

func TestEndedLooksWithoutReading(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if Ended(c) {
		t.Error("an open connection ended")
	}
	if _, err := peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	peer.Close()
	var room [1]byte
	if _, err := c.Read(room[:]); err != nil || room[0] != 'x' {
		t.Fatalf("the byte was taken: %q, %v", room, err)
	}
	for end := time.Now().Add(10 * time.Second); !Ended(c); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the end was not seen")
		}
	}
	if a, _ := net.Pipe(); Ended(a) {
		t.Error("a pipe ended")
	}
}
