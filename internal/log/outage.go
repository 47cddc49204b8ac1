package log

import "fmt"

// outage tells, once each, that a target does not take its lines and that it does again. One goroutine owns it.
type outage struct {
	name string
	then string                   // what becomes of the lines
	say  func(level, text string) // nil: nobody is told
	down bool
	from uint64 // losses up to the end of the last outage
}

// fail begins an outage, unless there is one.
func (o *outage) fail(reason string) {
	if o.down {
		return
	}
	o.down = true
	o.tell("warning", fmt.Sprintf("log target %s: %s; %s", o.name, reason, o.then))
}

// over ends an outage, if there was one, after lost lines since the start.
func (o *outage) over(lost uint64) {
	if !o.down {
		return
	}
	o.down = false
	o.tell("notice", fmt.Sprintf("log target %s takes lines again, %d were lost", o.name, lost-o.from))
	o.from = lost
}

func (o *outage) tell(level, text string) {
	if o.say != nil {
		o.say(level, text)
	}
}
