package log

import (
	"strings"
	"testing"
)

func TestSampleLetsItsLinesThrough(t *testing.T) {
	got := written(t, Options{Format: "raw"}, func(target *Target) {
		l := &Logger{Targets: []*Target{target}, Samples: []*Sample{NewSample([]bool{true, false, true, false, false})}}
		for _, text := range strings.Fields("1 2 3 4 5 6 7 8 9 10 11") {
			l.Send(Info, []byte(text))
		}
	})
	if want := "1\n3\n6\n8\n11\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLevelsThatATargetDoesNotTakeDoNotCountInItsSample(t *testing.T) {
	got := written(t, Options{Format: "raw", Level: "notice"}, func(target *Target) {
		l := &Logger{Targets: []*Target{target}, Samples: []*Sample{NewSample([]bool{true, false})}}
		l.Send(Info, []byte("info"))
		l.Send(Notice, []byte("first"))
		l.Send(Notice, []byte("second"))
	})
	if got != "first\n" {
		t.Errorf("got %q", got)
	}
}

func TestStructuredDataStandsBeforeTheText(t *testing.T) {
	got := written(t, Options{Format: "rfc5424"}, func(target *Target) {
		l := &Logger{Targets: []*Target{target}}
		l.SendLine(Info, Line{Text: []byte("text"), SD: []byte("[x@1 a=\"b\n\"]")})
		l.SendLine(Info, Line{Text: []byte("text")})
	})
	lines := strings.Split(got, "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[0], " - [x@1 a=\"b \"] text") || !strings.HasSuffix(lines[1], " - - text") {
		t.Errorf("got %q", lines)
	}
}

func TestBinaryLinesStayAsTheyAre(t *testing.T) {
	got := written(t, Options{Format: "raw"}, func(target *Target) {
		(&Logger{Targets: []*Target{target}}).SendLine(Info, Line{Text: []byte("\xbf\x00\r\xff"), Binary: true})
	})
	if got != "\xbf\x00\r\xff\n" {
		t.Errorf("got %q", got)
	}
}
