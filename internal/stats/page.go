package stats

import (
	"html"
	"strconv"
	"strings"
)

// Page writes the rows of the table as one HTML page. The caller fills the facts, then calls Begin, Row for every row in the order of
// the table, and End.
type Page struct {
	Title   string // behind "Statistics Report for"
	Version string // "" is not shown
	Node    string // "" is not shown
	Desc    string // "" is not shown
	URI     string // of the page, without options
	Options string // ";up;norefresh;scope=x": what links and forms keep
	Scope   string // as asked for
	Status  string // of the action before, as ";st=" told; "" for none
	Refresh bool   // the page reloads itself
	Admin   bool   // forms are shown
	Legends bool   // addresses, cookies and algorithms are shown

	proxy   string // whose table is open
	iid     string
	servers int
}

// statusTexts are what the codes behind ";st=" mean, and the class they are shown with.
var statusTexts = map[string][2]string{
	"DENY": {"down", "Action denied."},
	"DONE": {"up", "Action processed successfully."},
	"ERRP": {"down", "Action not processed because of invalid parameters: the action, the backend or every server is unknown."},
	"EXCD": {"down", "Action not processed: the buffer couldn't store all the data. Retry with fewer servers at a time."},
	"IVAL": {"down", "Invalid requests (unsupported method or chunked encoded request)."},
	"NONE": {"no-check", "Nothing has changed."},
	"PART": {"no-check", "Action partially processed: some server names are unknown."},
	"UNKN": {"no-check", "Unexpected result."},
}

const pageStyle = `<style>
body{font:14px/1.4 system-ui,sans-serif;margin:1rem;color:#111;background:#fff}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin:1.2rem 0 .3rem}
table{border-collapse:collapse}th,td{border:1px solid #bbb;padding:.1rem .4rem;text-align:right}
th[scope=row],.text{text-align:left}thead th{background:#eee}
.up{background:#c8f7c8}.down{background:#ffb3b3}.maint{background:#d9b38c}.draining{background:#9fd3ff}.no-check{background:#e4e4e4}.going{background:#fff3b0}
.total{font-weight:bold;background:#f4f4f4}p.result{padding:.3rem .6rem}
</style>
`

// Begin appends everything before the first table.
func (p *Page) Begin(dst []byte) []byte {
	e := html.EscapeString
	title := "Statistics Report for " + p.Title + p.Version
	dst = append(dst, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>"+e(title)+"</title>\n<link rel=\"icon\" href=\"data:,\">\n"+pageStyle+"</head>\n<body>\n<h1>"...)
	dst = append(dst, e(title)...)
	if p.Node != "" {
		dst = append(dst, " on "+e(p.Node)...)
	}
	if p.Desc != "" {
		dst = append(dst, ": "+e(p.Desc)...)
	}
	dst = append(dst, "</h1>\n"...)
	if text, ok := statusTexts[p.Status]; ok {
		dst = append(dst, `<p class="result `+text[0]+`" role="status">`+e(text[1])+` <a href="`+e(p.URI+p.Options)+"\">Remove this message</a></p>\n"...)
	}
	scope := ""
	if p.Scope != "" {
		scope = ";scope=" + p.Scope
	}
	up, refresh := strings.Contains(p.Options, ";up"), strings.Contains(p.Options, ";norefresh")
	link := func(text string, up, refresh bool, what string) {
		to := p.URI + what
		if up {
			to += ";up"
		}
		if refresh {
			to += ";norefresh"
		}
		dst = append(dst, `<li><a href="`+e(to+scope)+`">`+text+"</a></li>\n"...)
	}
	dst = append(dst, "<nav aria-label=\"Display options\"><ul>\n"...)
	if up {
		link("Show all servers", false, refresh, "")
	} else {
		link("Hide 'DOWN' servers", true, refresh, "")
	}
	if p.Refresh {
		link("Disable refresh", up, true, "")
	} else if refresh {
		link("Enable refresh", up, false, "")
	}
	link("Refresh now", up, refresh, "")
	link("CSV export", false, true, ";csv")
	link("JSON export", false, true, ";json")
	return append(dst, "</ul>\n<form method=\"get\"><label>Scope: <input name=\"scope\" size=\"12\" maxlength=\"20\" value=\""+e(p.Scope)+"\"></label></form></nav>\n"...)
}

// pageColumns are the columns of a table, in order; a label that begins a group is enough for the eye and for readers.
var pageColumns = []struct {
	label string
	col   Column
}{
	{"Queue cur", ColQCur}, {"Queue max", ColQMax}, {"Queue limit", ColQlimit},
	{"Rate cur", ColRate}, {"Rate max", ColRateMax}, {"Rate limit", ColRateLim},
	{"Sessions cur", ColSCur}, {"Sessions max", ColSMax}, {"Sessions limit", ColSLim}, {"Sessions total", ColSTot}, {"LbTot", ColLbtot}, {"Last", ColLastsess},
	{"Bytes in", ColBytesIn}, {"Bytes out", ColBytesOut},
	{"Denied req", ColDeniedReq}, {"Denied resp", ColDeniedResp},
	{"Errors req", ColErrReq}, {"Errors conn", ColErrConn}, {"Errors resp", ColErrResp},
	{"Retr", ColRetries}, {"Redis", ColRedispatches},
	{"Status", ColStatus}, {"LastChk", ColCheckStatus}, {"Wght", ColWeight}, {"Act", ColAct}, {"Bck", ColBck}, {"Chk", ColChkfail}, {"Dwn", ColChkdown}, {"Dwntme", ColDowntime},
}

// Row appends one row, opening and closing tables as proxies change.
func (p *Page) Row(dst []byte, r *Row) []byte {
	e := html.EscapeString
	name := r.Text(ColProxy)
	if name != p.proxy || p.iid == "" {
		dst = p.open(p.close(dst), name, r.Text(ColIID))
	}
	svname := r.Text(ColServer)
	label := map[Kind]string{Frontend: "Frontend", Backend: "Backend"}[r.Kind]
	if label == "" {
		label = svname
	}
	id := e(name + "/" + label)
	dst = append(dst, `<tr id="`+id+`" class="`+rowClass(r)+`">`...)
	if p.Admin {
		dst = append(dst, "<td>"...)
		if r.Kind == Server {
			p.servers++
			dst = append(dst, `<input type="checkbox" name="s" value="`+e(svname)+`" aria-label="`+id+`">`...)
		}
		dst = append(dst, "</td>"...)
	}
	dst = append(dst, `<th scope="row"><a name="`+id+`" href="#`+id+`">`+e(label)+"</a>"...)
	for _, c := range legends {
		if text := r.Text(c); p.Legends && text != "" {
			dst = append(dst, `<br><small>`+e(columns[c].name+": "+text)+"</small>"...)
		}
	}
	dst = append(dst, "</th>"...)
	for _, c := range pageColumns {
		class := ""
		if columns[c.col].typ == STR {
			class = ` class="text"`
		}
		dst = append(dst, "<td"+class+">"+e(r.Text(c.col))+"</td>"...)
	}
	return append(dst, "</tr>\n"...)
}

// rowClass is how the state of a row is coloured; the text says it too.
func rowClass(r *Row) string {
	s := r.Text(ColStatus)
	switch {
	case r.Kind != Server:
		return "total"
	case r.Maint():
		return "maint"
	case strings.HasPrefix(s, "DRAIN"), strings.HasPrefix(s, "NOLB"):
		return "draining"
	case s == "no check":
		return "no-check"
	case r.Down():
		return "down"
	case s == "UP":
		return "up"
	}
	return "going"
}

func (p *Page) open(dst []byte, name, iid string) []byte {
	e := html.EscapeString
	p.proxy, p.iid, p.servers = name, iid, 0
	if p.Admin {
		dst = append(dst, `<form method="post" action="`+e(p.URI+p.Options)+"\">\n"...)
	}
	dst = append(dst, `<h2><a name="`+e(name)+`" href="#`+e(name)+`">`+e(name)+"</a></h2>\n<table><thead><tr>"...)
	if p.Admin {
		dst = append(dst, "<th><span aria-label=\"Selected\"></span></th>"...)
	}
	dst = append(dst, "<th>Name</th>"...)
	for _, c := range pageColumns {
		dst = append(dst, "<th>"+c.label+"</th>"...)
	}
	return append(dst, "</tr></thead><tbody>\n"...)
}

// pageActions are what the form offers, by the words that it sends.
var pageActions = [][2]string{
	{"", ""}, {"ready", "Set state to READY"}, {"drain", "Set state to DRAIN"}, {"maint", "Set state to MAINT"}, {"dhlth", "Health: disable checks"},
	{"ehlth", "Health: enable checks"}, {"hrunn", "Health: force UP"}, {"hnolb", "Health: force NOLB"}, {"hdown", "Health: force DOWN"}, {"shutdown", "Kill Sessions"},
}

func (p *Page) close(dst []byte) []byte {
	if p.iid == "" {
		return dst
	}
	dst = append(dst, "</tbody></table>\n"...)
	if !p.Admin {
		return dst
	}
	if p.servers > 0 {
		dst = append(dst, "<label>Choose the action to perform on the checked servers: <select name=\"action\">"...)
		for _, a := range pageActions {
			dst = append(dst, `<option value="`+a[0]+`">`+a[1]+"</option>"...)
		}
		dst = append(dst, `</select></label> <input type="hidden" name="b" value="#`+p.iid+"\"> <input type=\"submit\" value=\"Apply\">\n"...)
	}
	return append(dst, "</form>\n"...)
}

// End appends what closes the page.
func (p *Page) End(dst []byte) []byte {
	dst = p.close(dst)
	p.iid = ""
	return append(dst, "</body></html>\n"...)
}

// UpCount is what the filters append to a backend's status: how many of its servers are up.
func UpCount(up, total int) string { return " (" + strconv.Itoa(up) + "/" + strconv.Itoa(total) + ")" }
