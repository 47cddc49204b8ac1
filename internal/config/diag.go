package config

import (
	"errors"
	"fmt"
	"strings"
)

// Levels of a Diag, as HAProxy prints them between brackets.
const (
	LevelAlert   = "ALERT"
	LevelWarning = "WARNING"
	LevelNotice  = "NOTICE"
	LevelDiag    = "DIAG"
)

// Diag is one message about the configuration. Text is whole, "config : parsing [F:N] : ..." included, without the
// "[ALERT] (pid) : " that the program prints before it, and without a trailing newline.
type Diag struct {
	Level string
	Text  string
	Pos   Pos
	Soft  bool   // an ALERT that HAProxy prints and then continues, such as "already specified. Continuing."
	Near  string // what was probably meant instead of a word that is not known; "" when nothing is near. Printed behind Text
}

// nearer is an error about a word that is not known and may know which one was meant.
type nearer interface{ Near() string }

// nearOf asks the errors among args what was meant.
func nearOf(args []any) string {
	for _, a := range args {
		var n nearer
		if err, ok := a.(error); ok && errors.As(err, &n) {
			return n.Near()
		}
	}
	return ""
}

// String is the whole message as it is printed: where the error is, when HAProxy's words do not say it, and what was probably meant.
func (d *Diag) String() string {
	text := d.Text
	if d.Level == LevelAlert && d.Pos.Line > 0 && !strings.Contains(text, fmt.Sprintf("[%s:%d]", d.Pos.File, d.Pos.Line)) {
		text = fmt.Sprintf("%s [%s:%d]", text, d.Pos.File, d.Pos.Line)
	}
	if d.Near != "" {
		text = fmt.Sprintf("%s; did you mean '%s' maybe ?", strings.TrimSuffix(text, "."), d.Near)
	}
	return text
}

// Diags collects messages in the order they were found. The zero value is empty.
type Diags []Diag

// HasErrors reports whether any message keeps the configuration from being used.
func (d Diags) HasErrors() bool { return d.has(LevelAlert) }

// HasWarnings reports whether any message is a WARNING.
func (d Diags) HasWarnings() bool { return d.has(LevelWarning) }

func (d Diags) has(level string) bool {
	for i := range d {
		if d[i].Level == level && !d[i].Soft {
			return true
		}
	}
	return false
}

// Alert adds an error as "config : parsing [F:N] : TEXT".
func (d *Diags) Alert(pos Pos, format string, args ...any) {
	d.parsing(LevelAlert, pos, format, args)
}

// Warning adds a warning, which is fatal under zero-warning, as "config : parsing [F:N] : TEXT".
func (d *Diags) Warning(pos Pos, format string, args ...any) {
	d.parsing(LevelWarning, pos, format, args)
}

// Notice adds a remark that is never fatal as "config : parsing [F:N] : TEXT".
func (d *Diags) Notice(pos Pos, format string, args ...any) {
	d.parsing(LevelNotice, pos, format, args)
}

func (d *Diags) parsing(level string, pos Pos, format string, args []any) {
	text := fmt.Sprintf("config : parsing [%s:%d] : ", pos.File, pos.Line) + fmt.Sprintf(format, args...)
	*d = append(*d, Diag{Level: level, Text: text, Pos: pos, Near: nearOf(args)})
}

// Add adds a message whose text is already whole.
func (d *Diags) Add(level, text string) {
	*d = append(*d, Diag{Level: level, Text: text})
}

// at adds "config : TEXT" for the places where HAProxy words the position itself.
func (d *Diags) at(level string, pos Pos, format string, args ...any) {
	*d = append(*d, Diag{Level: level, Text: "config : " + fmt.Sprintf(format, args...), Pos: pos})
}
