package log

import "testing"

func TestSeveritiesHaveTheThreeWordsOfTheStart(t *testing.T) {
	for level, want := range map[string]string{
		"emerg": "ALERT", "alert": "ALERT", "crit": "ALERT", "err": "ALERT", "warning": "WARNING", "notice": "NOTICE", "info": "NOTICE",
		"debug": "NOTICE", "unknown": "NOTICE",
	} {
		if got := StartupWord(level); got != want {
			t.Errorf("%s: %s, want %s", level, got, want)
		}
	}
}
